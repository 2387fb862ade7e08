"""A Hugging Face dataset at its pinned revision -> raw rows, through `datasets` and its cache."""

from pathlib import Path
from typing import TYPE_CHECKING

from align.data.errors import DataError
from align.data.spec import COMMIT, HubSource

if TYPE_CHECKING:
    from datasets import Dataset


def hub_dataset(source: HubSource) -> "Dataset":
    """The dataset, fetched unless the cache has it.

    Raises:
        DataError: it cannot be fetched, or has no such configuration or split.
    """
    # Not at import: datasets takes a second, and the parent process only needs to know the names.
    from datasets import load_dataset  # noqa: PLC0415

    try:
        found = load_dataset(source.id, name=source.config, split=source.split, revision=source.revision)
    except Exception as cause:  # datasets raises bare Exception kinds of half a dozen libraries below it
        raise DataError(
            f"{described(source)}: cannot be loaded ({type(cause).__name__}: {cause}). Check the name, "
            "revision, config and split; without network it must be in the Hugging Face cache (HF_HOME)"
        ) from cause
    if other := _other_commit(found, source.revision):
        raise DataError(
            f"{described(source)}: the Hugging Face cache has commit {other[:12]} only, and nothing can be "
            "fetched without network; run scripts/fetch.py where there is one"
        )
    return found


def _other_commit(dataset: "Dataset", revision: str) -> str | None:
    """The commit that was loaded in place of the one asked for: offline, `datasets` takes what it has."""
    if COMMIT.fullmatch(revision):
        for file in dataset.cache_files:  # …/<config>/<version>/<commit>/<name>-train.arrow
            commit = Path(file["filename"]).parent.name
            if COMMIT.fullmatch(commit) and commit != revision:
                return commit
    return None


def described(source: HubSource) -> str:
    """What an error or a report calls this source, for instance `hf://user/set@3f2a… [train]`."""
    config = f"/{source.config}" if source.config else ""
    return f"hf://{source.id}{config}@{source.revision[:12]} [{source.split}]"
