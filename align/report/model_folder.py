"""Model folder: weights in Hugging Face layout, here or on the Hub -> what can be said without loading them.

Reads   config.json, the headers of *.safetensors, generation_config.json, README.md, align_contract.json
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import yaml
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import safe_open

FRONT = "---\n"
DESCRIPTION = ("*.json", "*.jinja", "README.md")  # of a model on the Hub; its weights are not fetched


@dataclass(frozen=True)
class ModelFacts:
    """A model as its files describe it; None where they do not say."""

    name: str
    path: Path
    architecture: str
    parameters: int | None
    dtypes: tuple[str, ...]
    vocabulary: int | None
    context: int | None
    has_template: bool
    has_contract: bool
    licence: str | None
    gib: float | None


def is_model_folder(path: Path) -> bool:
    """Whether weights and their description lie here."""
    return (path / "config.json").is_file() and any(path.glob("*.safetensors"))


def read_hub_model(name: str, revision: str | None) -> ModelFacts:
    """Describe a model on the Hub, or in the cache of its models; weights count where they lie in the cache.

    Raises:
        ValueError: it is not there, or cannot be reached.
    """
    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=list(DESCRIPTION))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as problem:
        told = str(problem).strip().split("\n")[0]
        raise ValueError(f"{name}: no folder, and not to be had from the Hub: {told}") from None
    if not (Path(folder) / "config.json").is_file():
        raise ValueError(f"{name}: the Hub has no config.json there, so it is no model")
    return replace(read_model(Path(folder)), name=name)


def read_model(path: Path) -> ModelFacts:
    """Describe a folder with a config.json and, usually, weights."""
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config", config)
    files = sorted(path.glob("*.safetensors"))
    tensors = [tensor for file in files for tensor in _tensors(file)]
    return ModelFacts(
        name=path.resolve().name,
        path=path,
        architecture=", ".join(config.get("architectures") or [config.get("model_type", "unknown")]),
        parameters=sum(prod(shape) for _, shape in tensors) or None,
        dtypes=tuple(sorted({dtype for dtype, _ in tensors})),
        vocabulary=text.get("vocab_size"),
        context=text.get("max_position_embeddings"),
        has_template=_has_template(path),
        has_contract=(path / "align_contract.json").is_file(),
        licence=_licence(path / "README.md"),
        gib=sum(file.stat().st_size for file in files) / 2**30 if files else None,
    )


def _tensors(file: Path) -> Iterator[tuple[str, list[int]]]:
    """Type and shape of every tensor; only the header is read."""
    with safe_open(file, framework="numpy") as opened:
        for name in opened.keys():  # noqa: SIM118  (no mapping)
            part = opened.get_slice(name)
            yield str(part.get_dtype()), list(part.get_shape())


def _has_template(path: Path) -> bool:
    if (path / "chat_template.jinja").is_file():
        return True
    file = path / "tokenizer_config.json"
    return file.is_file() and bool(json.loads(file.read_text(encoding="utf-8")).get("chat_template"))


def _licence(card: Path) -> str | None:
    """From the card's front matter."""
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    if not text.startswith(FRONT):
        return None
    try:
        front = yaml.safe_load(text[len(FRONT) :].partition("\n---")[0])
    except yaml.YAMLError:
        return None
    licence = front.get("license") if isinstance(front, dict) else None
    return str(licence) if licence else None
