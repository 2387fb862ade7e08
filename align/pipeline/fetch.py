"""Fetch: a config -> every model and dataset it names, in the Hugging Face cache or found on disk.

Compute nodes often have no internet: this runs on a login node before, with the options of the run.

Writes  the Hugging Face cache (HF_HOME)
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from align.config.compose import bind
from align.config.plugin import PluginSpec
from align.config.problem import ConfigError
from align.config.schema import marks
from align.config.spec import REFERENCE_PREFIX, ModelMark
from align.data.errors import DataError
from align.data.readers.hub import described, hub_dataset
from align.data.spec import HubSource, SourceSpec
from align.models.spec import ModelSpec
from align.pipeline.run import Run
from align.pipeline.runner import FAILED, REFUSED

if TYPE_CHECKING:
    from omegaconf import DictConfig

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
LOCAL = ("/", "./", "../", "~")
# The same weights in other formats: transformers reads safetensors where there are any.
OTHER_WEIGHTS = (
    "*.bin",
    "*.pt",
    "*.pth",
    "*.h5",
    "*.msgpack",
    "*.ckpt",
    "*.gguf",
    "*.onnx",
    "*.ot",
    "original/*",
)


@dataclass(frozen=True)
class Model:
    """Weights and tokenizer, by Hub id or folder."""

    path: str
    revision: str | None

    def __str__(self) -> str:
        return f"{self.path}@{self.revision[:12]}" if self.revision else self.path

    @property
    def is_local(self) -> bool:
        """Whether this is a folder, be it there or not."""
        return self.path.startswith(LOCAL) or Path(self.path).is_dir()


@dataclass(frozen=True)
class DataFile:
    """A local file or folder of rows."""

    path: str

    def __str__(self) -> str:
        return self.path


Needed = Model | DataFile | HubSource


class Unfetched(Exception):
    """Something that the run needs is not there and cannot be had."""


def fetch_from_config(cfg: "DictConfig") -> None:
    """Fetch what the stages of a config read, and print a line about each.

    Raises:
        SystemExit: with 1 when something could not be had, 2 when the config has to be put right.
    """
    try:
        run = bind(cfg, Run)
    except ConfigError as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(REFUSED) from None
    found = needed(run)
    if run.run.dry_run:
        sys.stdout.writelines(f"{_name(item)}  ({place})\n" for item, place in found.items())
        return
    failed = 0
    for item, place in found.items():
        try:
            state, size = _obtain(item)
        except Unfetched as problem:
            failed += 1
            sys.stderr.write(f"{place}: {problem}\n")
        else:
            sys.stdout.write(f"{state:8} {size / 1e6:10.1f} MB  {_name(item)}\n")
            sys.stdout.flush()
    if failed:
        sys.stderr.write(f"{failed} of {len(found)} could not be had\n")
        raise SystemExit(FAILED)
    sys.stdout.write(f"all {len(found)} are there\n" if found else "nothing to fetch\n")


def needed(run: Run) -> dict[Needed, str]:
    """What the stages read and no stage makes -> the dotted path of its first mention."""
    found: dict[Needed, str] = {}
    for place, item in _mentions(run.stages, "stages"):
        found.setdefault(item, place)
    return found


def _mentions(value: Any, place: str) -> Iterator[tuple[str, Needed]]:
    if isinstance(value, ModelSpec):
        if not value.path.startswith(REFERENCE_PREFIX):
            yield f"{place}.path", Model(value.path, value.revision)
    elif isinstance(value, SourceSpec):
        if value.hub is not None:
            yield f"{place}.hub", value.hub
        elif value.path is not None and value.generator is None:
            yield f"{place}.path", DataFile(value.path)
    elif isinstance(value, PluginSpec):
        yield from _of_plugin(value, place)
    else:
        for name, inner in _inside(value):
            yield from _mentions(inner, f"{place}.{name}")


def _of_plugin(value: PluginSpec, place: str) -> Iterator[tuple[str, Needed]]:
    hints = value.argument_hints()
    for name, argument in value.arguments.items():
        if any(isinstance(mark, ModelMark) for mark in marks(hints.get(name, Any))):
            if not str(argument).startswith(REFERENCE_PREFIX):
                yield f"{place}.{name}", Model(str(argument), value.arguments.get("revision"))
        else:
            yield from _mentions(argument, f"{place}.{name}")


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    if is_dataclass(value):
        yield from ((item.name, getattr(value, item.name)) for item in fields(value))
    elif isinstance(value, Mapping):
        yield from ((str(key), inner) for key, inner in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(number), inner) for number, inner in enumerate(value))


def _obtain(item: Needed) -> tuple[Literal["there", "fetched"], int]:
    """Whether it had to be fetched, and its size in bytes."""
    if isinstance(item, HubSource):
        return _dataset(item)
    if isinstance(item, Model) and not item.is_local:
        return _hub_model(item)
    path = Path(item.path).expanduser()
    if not path.exists():
        raise Unfetched(f"{item.path} does not exist; correct the path, or set ALIGN_DATA (paths.data)")
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    return "there", sum(file.stat().st_size for file in files)


def _hub_model(item: Model) -> tuple[Literal["there", "fetched"], int]:
    try:
        return _cached_model(item) if _is_offline() else _fetched_model(item)
    except Exception as cause:  # the errors of huggingface_hub and of the HTTP library below it
        raise Unfetched(_reason(str(item), cause)) from cause


def _cached_model(item: Model) -> tuple[Literal["there", "fetched"], int]:
    from huggingface_hub import snapshot_download  # noqa: PLC0415  (half a second)

    ignored: list[str] | None = list(OTHER_WEIGHTS)
    folder = Path(
        snapshot_download(item.path, revision=item.revision, ignore_patterns=ignored, local_files_only=True)
    )
    if not any(folder.rglob("*.safetensors")):
        snapshot_download(item.path, revision=item.revision, local_files_only=True)
    return "there", sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _fetched_model(item: Model) -> tuple[Literal["there", "fetched"], int]:
    from huggingface_hub import HfApi, snapshot_download  # noqa: PLC0415
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars  # noqa: PLC0415

    names = HfApi().list_repo_files(item.path, revision=item.revision)
    ignored = list(OTHER_WEIGHTS) if any(name.endswith(".safetensors") for name in names) else None
    disable_progress_bars()  # of looking; those of fetching are wanted
    listed = snapshot_download(item.path, revision=item.revision, ignore_patterns=ignored, dry_run=True)
    enable_progress_bars()
    snapshot_download(item.path, revision=item.revision, ignore_patterns=ignored)
    missing = any(file.will_download for file in listed)
    return "fetched" if missing else "there", sum(file.file_size or 0 for file in listed)


def _dataset(item: HubSource) -> tuple[Literal["there", "fetched"], int]:
    started = time.time()
    try:
        files = [Path(entry["filename"]) for entry in hub_dataset(item).cache_files]
    except DataError as cause:
        raise Unfetched(_reason(described(item), cause.__cause__ or cause)) from cause
    written = any(file.stat().st_mtime >= started for file in files)
    return "fetched" if written else "there", sum(file.stat().st_size for file in files)


def _reason(name: str, cause: BaseException) -> str:
    if _is_offline():
        return f"{name} is not in the cache, and HF_HUB_OFFLINE keeps it from being fetched; unset it here"
    first = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    return f"{name} cannot be fetched: {first}"


def _is_offline() -> bool:
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in OFFLINE)


def _name(item: Needed) -> str:
    return described(item) if isinstance(item, HubSource) else str(item)
