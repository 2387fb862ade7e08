"""What checkpoints are asked: a set of prompts, as configuration. Torch-free."""

from dataclasses import dataclass

from align.config.spec import Spec
from align.data.spec import SourceSpec


@dataclass(frozen=True, kw_only=True)
class SuiteSpec(Spec):
    """Prompts that every checkpoint answers.

    `source` yields `Prompt` rows; `source.max_rows` bounds their number. Each key in `groups` names an
    entry of the prompts' `reference`: beside the whole suite, the prompts of each value of it are
    reported on their own, as `<suite>/<key>=<value>`.
    """

    source: SourceSpec
    groups: tuple[str, ...] = ()
