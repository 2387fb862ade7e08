"""Preview: a composed config -> the first rows of its stages as their models will see them.

Writes  outputs/previews/<stage>.html
"""

import sys
from typing import TYPE_CHECKING

from align.artifacts.durable import write_text
from align.artifacts.store import ArtifactError
from align.config.compose import bind
from align.config.problem import ConfigError
from align.data.errors import DataError
from align.data.records import RowError
from align.pipeline.run import Run
from align.pipeline.runner import REFUSED

if TYPE_CHECKING:
    from omegaconf import DictConfig


def preview_from_config(cfg: "DictConfig") -> None:
    """Show the rows of every stage that the config names, or of `run.only`, and write a page of each.

    Raises:
        SystemExit: with 2 when the user has to put something right.
    """
    # Not at import: tokenizers take seconds, which --help need not wait for.
    from align.preview.page import page  # noqa: PLC0415
    from align.preview.rows import previews  # noqa: PLC0415
    from align.preview.screen import show  # noqa: PLC0415

    try:
        run = bind(cfg, Run)
        for preview in previews(run):
            show(preview)
            file = run.paths.outputs / "previews" / f"{preview.stage}.html"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, page(preview))
            sys.stdout.write(f"{file}\n")
    except (ConfigError, ArtifactError, DataError, RowError) as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(REFUSED) from None
