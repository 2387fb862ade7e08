"""What an audit looks at, as configuration; never identity."""

from dataclasses import dataclass

from align.config.spec import PositiveInt, Spec


@dataclass(frozen=True, kw_only=True)
class AuditSpec(Spec):
    """How `scripts/audit_data.py` looks at the corpus.

    `entries` names those of the corpus to look at; null takes all but plain text. `workers` is a number of
    processes; null takes one per core. `sample` bounds the pairs whose answers are compared, `compared` the
    rows that near duplicates are looked for among.
    """

    entries: tuple[str, ...] | None = None
    workers: PositiveInt | None = None
    sample: PositiveInt = 50_000
    compared: PositiveInt = 100_000
