"""Generated data: a `generator` leaf is run once, into a folder that its identity names."""

import hashlib
import json
import shutil
import uuid
from pathlib import Path

from align.config.plugin import PluginSpec
from align.data.errors import DataError
from align.data.spec import SourceSpec

FOLDER = "datasets"
DIGEST_LENGTH = 16


def materialise(source: SourceSpec, outputs: Path) -> Path:
    """The local file of a source, generated first where it has a generator.

    Raises:
        DataError: the generator refuses its arguments, or does not write the file that `path` names.
    """
    if source.path is None:
        raise DataError("a Hub dataset has no local file")
    if source.generator is None:
        return Path(source.path).expanduser()
    folder = generated_folder(source.generator, outputs)
    file = folder / source.path
    if not file.is_file():
        written = sorted(
            entry.relative_to(folder).as_posix() for entry in folder.rglob("*") if entry.is_file()
        )
        raise DataError(
            f"path {source.path!r}: {source.generator.target} writes no such file; "
            f"it writes {', '.join(written)}"
        )
    return file


def generated_folder(generator: PluginSpec, outputs: Path) -> Path:
    """The folder that a generator wrote, below `outputs/datasets/`; never seen half-written.

    Unless it is there, the generator is called with `folder=...` and its arguments.

    Raises:
        DataError: the generator refuses its arguments.
    """
    final = outputs / FOLDER / identity(generator)
    if final.is_dir():
        return final
    unfinished = final.with_name(f"{final.name}.tmp-{uuid.uuid4().hex[:8]}")
    unfinished.mkdir(parents=True)
    try:
        generator.build(folder=unfinished)
        _publish(unfinished, final)
    except ValueError as cause:
        raise DataError(f"{generator.target}: {cause}") from cause
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return final


def identity(generator: PluginSpec) -> str:
    """A name for what a generator writes: its target, arguments and source."""
    described = [generator.target, dict(generator.arguments), generator.source_digest()]
    text = json.dumps(described, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def _publish(unfinished: Path, final: Path) -> None:
    try:
        unfinished.rename(final)
    except OSError:
        if not final.is_dir():  # otherwise another process was quicker, and wrote the same
            raise
