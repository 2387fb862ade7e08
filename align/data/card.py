"""Card: what is known about a dataset, held against the data that a stage is about to read."""

from pathlib import Path

from align.data.card_schema import Facts, read_card
from align.data.errors import DataError
from align.data.generated import generated_folder, materialise
from align.data.readers.hub import hub_dataset
from align.data.readers.local import files_of
from align.data.spec import DataSpec, HubSource, SourceSpec
from align.data.verification import dataset_problems, file_problems

CARDS = Path(__file__).resolve().parents[2] / "data_cards"


def card_problems(spec: DataSpec, outputs: Path) -> list[str]:
    """Where the data of a spec disagrees with its cards.

    Sources without a card, and those with `allow_unverified`, are not looked at: they are put on record
    (align.data.standing).

    Reads every file once, generates what has a generator, fetches what is on the Hub.
    """
    return [
        problem
        for name, source in spec.sources.items()
        if source.card is not None and not source.allow_unverified
        for problem in source_problems(name, source, source.card, outputs)
    ]


def card_path(source: SourceSpec, card: str, outputs: Path) -> Path:
    """Where a card lies: beside generated files; else in `data_cards/` by name, or where its path says."""
    if source.generator is not None:
        return generated_folder(source.generator, outputs) / card
    return Path(card).expanduser() if card.endswith(".md") else CARDS / f"{card}.md"


def source_problems(name: str, source: SourceSpec, card: str, outputs: Path) -> list[str]:
    """Where one source disagrees with its card; every row is read."""
    try:
        path = card_path(source, card, outputs)
        facts = read_card(path).align
        if source.hub is not None:
            found = _hub_problems(facts, source.hub)
        else:
            found = _local_problems(facts, source.path or "", materialise(source, outputs))
    except DataError as cause:
        return [f"sources.{name}: {line}" for line in str(cause).splitlines()]
    return [f"sources.{name}: {path}: align.{problem}" for problem in found]


def _local_problems(facts: Facts, named: str, path: Path) -> list[str]:
    """Hold a file, or every file of a folder, against its entry; a folder may lack none of the card's."""
    problems: list[str] = []
    entries = {f"files[{index}]": stated for index, stated in enumerate(facts.files)}
    for file in files_of(path):
        name = Path(named) / file.relative_to(path)
        field = next((key for key, stated in entries.items() if _ends_with(name, stated.path)), None)
        if field is None:
            known = ", ".join(stated.path for stated in facts.files) or "empty"
            problems.append(f"files: none of them is {name} ({known})")
        else:
            problems += file_problems(field, entries.pop(field), facts.columns, file)
    if path.is_dir():
        missing = [stated for stated in entries.values() if _ends_with(Path(named), Path(stated.path).parent)]
        problems += [f"files: {stated.path} is missing from {path}" for stated in missing]
    return problems


def _ends_with(path: Path, end: str | Path) -> bool:
    parts = Path(end).parts
    return not parts or path.parts[-len(parts) :] == parts


def pinned_problems(facts: Facts, source: HubSource) -> list[str]:
    """Where a card describes something else than the Hub dataset that a source names; nothing is fetched."""
    if facts.hub is None:
        return [f"hub: the card describes local files, the source reads {source.id} from the Hub"]
    pinned = {
        "hub.id": (facts.hub.id, source.id),
        "hub.config": (facts.hub.config, source.config),
        "revision": (facts.revision, source.revision),
    }
    problems = [
        f"{field}: the card says {stated}, the source {configured}"
        for field, (stated, configured) in pinned.items()
        if stated != configured
    ]
    if source.split not in facts.splits:
        problems.append(f"splits: no split {source.split!r} ({', '.join(facts.splits)})")
    return problems


def _hub_problems(facts: Facts, source: HubSource) -> list[str]:
    return pinned_problems(facts, source) or dataset_problems(
        facts.splits[source.split], facts.columns, hub_dataset(source)
    )
