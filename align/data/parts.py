"""Parts: do the stages of a run cut the same dataset alike? Torch-free."""

from collections.abc import Mapping

from align.data.spec import SourceSpec


def part_problems(sources: Mapping[str, SourceSpec]) -> list[str]:
    """Where two sources cut one dataset in different ways, so that their parts would overlap.

    Args:
        sources: dotted path in the configuration -> source, for all data of a run.
    """
    first: dict[str, tuple[str, SourceSpec]] = {}
    problems = []
    for place, source in sources.items():
        if source.part is None:
            continue
        known, other = first.setdefault(repr((source.path, source.hub, source.generator)), (place, source))
        assert other.part is not None
        if (other.part.shares, other.part.seed) != (source.part.shares, source.part.seed):
            problems.append(
                f"{place}.part: {known}.part cuts the same dataset into other shares, or with another seed, "
                "so the two would overlap; give both the same `shares` and `seed`"
            )
    return problems
