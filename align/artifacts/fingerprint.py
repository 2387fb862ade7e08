"""Fingerprint: a bound stage + its parents' fingerprints -> the identity of what it will produce.

Only meaning counts. Values equal to their default are left out, so a new optional field changes nothing;
references to other stages are replaced by those stages' fingerprints, so renaming a stage changes nothing;
files count by content, so moving them changes nothing; code named by `_target_` counts by its source.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from align.artifacts.digest import Digests
from align.config.plugin import PluginSpec
from align.config.schema import element, field_hints, marks
from align.config.spec import REFERENCE_PREFIX, ContentMark, LogisticsMark, ModelMark

LENGTH = 12  # hexadecimal digits: 48 bits, a collision among a million artifacts has odds of 1 in 500

Location = tuple[str, ...]
Leaf = Callable[[str, Any, Location], Any]  # (text, its mark, where it stands) -> what identifies it


class IdentityError(ValueError):
    """Something that a stage's identity depends on is missing; the message starts with its dotted path."""


def references(spec: Any) -> set[str]:
    """Names of the stages a spec refers to: `stage:<name>` in fields and plugin arguments typed ModelRef."""
    return set(reference_paths(spec).values())


def reference_paths(spec: Any) -> dict[str, str]:
    """Dotted path of every reference in a spec -> name of the stage, in the order of the fields."""
    found: dict[str, str] = {}

    def collect(text: str, mark: Any, location: Location) -> str:
        if isinstance(mark, ModelMark) and text.startswith(REFERENCE_PREFIX):
            found[".".join(location)] = text.removeprefix(REFERENCE_PREFIX)
        return text

    _canonical(spec, Any, (), collect)
    return found


def fingerprint(stage: Any, parents: Mapping[str, str], digests: Digests | None = None) -> str:
    """Twelve hexadecimal digits that change exactly when the stage's result would.

    Args:
        stage: a bound stage; its class has `kind` and `version`.
        parents: stage name -> fingerprint, for every name in `references(stage)`.
        digests: remembers file digests between runs.

    Raises:
        IdentityError: a file or folder that identity depends on does not exist, or a parent is unknown.
    """
    text = json.dumps(identity(stage, parents, digests), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def identity(stage: Any, parents: Mapping[str, str], digests: Digests | None = None) -> dict[str, Any]:
    """What the fingerprint is computed from: two of these side by side show why a stage runs again."""
    return {"kind": stage.kind, "version": stage.version, "spec": described(stage, parents, digests)}


def described(spec: Any, parents: Mapping[str, str], digests: Digests | None = None) -> Any:
    """A spec as its identity has it, in plain values.

    Raises:
        IdentityError: as `fingerprint`.
    """
    contents = digests or Digests()

    def leaf(text: str, mark: Any, location: Location) -> Any:
        if isinstance(mark, ContentMark):
            return {"content": _content_digest(text, location, contents)}
        if text.startswith(REFERENCE_PREFIX):
            name = text.removeprefix(REFERENCE_PREFIX)
            if name not in parents:
                raise IdentityError(f"{'.'.join(location)}: no such stage {name!r} ({', '.join(parents)})")
            return {"parent": parents[name]}
        return _model_identity(text, location, contents)

    return _canonical(spec, Any, (), leaf)


def _canonical(value: Any, hint: Any, location: Location, leaf: Leaf) -> Any:
    if isinstance(value, PluginSpec):
        return _plugin(value, location, leaf)
    if is_dataclass(value) and not isinstance(value, type):
        return _dataclass(value, location, leaf)
    if isinstance(value, Mapping):
        inner = element(hint)
        return {str(key): _canonical(value[key], inner, (*location, str(key)), leaf) for key in value}
    if isinstance(value, list | tuple):
        inner = element(hint)
        return [_canonical(item, inner, (*location, str(index)), leaf) for index, item in enumerate(value)]
    return _scalar(value, hint, location, leaf)


def _scalar(value: Any, hint: Any, location: Location, leaf: Leaf) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, str):
        for mark in marks(hint):
            if isinstance(mark, ModelMark | ContentMark):
                return leaf(value, mark, location)
    return value


def _dataclass(value: Any, location: Location, leaf: Leaf) -> dict[str, Any]:
    cls: type = type(value)
    hints = field_hints(cls)
    kept: dict[str, Any] = {}
    for item in fields(value):
        hint, own = hints[item.name], getattr(value, item.name)
        if any(isinstance(mark, LogisticsMark) for mark in marks(hint)) or _is_default(own, item):
            continue
        if any(isinstance(mark, ContentMark) and _is_generated(mark, value) for mark in marks(hint)):
            hint = str
        kept[item.name] = _canonical(own, hint, (*location, item.name), leaf)
    if hasattr(value, "identity_extra"):
        kept.update(_canonical(value.identity_extra(), Any, location, leaf))
    return kept


def _is_default(value: Any, item: "Field[Any]") -> bool:
    if item.default is not MISSING:
        return bool(value == item.default)
    return item.default_factory is not MISSING and bool(value == item.default_factory())


def _is_generated(mark: ContentMark, owner: Any) -> bool:
    """Whether the file is made from the owner's other fields, which then say all there is to say about it."""
    return mark.unless is not None and getattr(owner, mark.unless, None) is not None


def _plugin(value: PluginSpec, location: Location, leaf: Leaf) -> dict[str, Any]:
    hints, defaults = value.argument_hints(), value.argument_defaults()
    arguments = {
        key: _canonical(own, hints.get(key, Any), (*location, key), leaf)
        for key, own in value.arguments.items()
        if key not in defaults or own != defaults[key]
    }
    return {"target": value.target, "arguments": arguments, "source": value.source_digest()}


def _content_digest(text: str, location: Location, digests: Digests) -> str:
    path = Path(text).expanduser()
    if path.is_file():
        return digests.file(path)
    if path.is_dir():
        return digests.folder(path)
    raise IdentityError(
        f"{'.'.join(location)}: {text} does not exist; correct the path, or set ALIGN_DATA "
        "(paths.data) to the folder that holds it"
    )


def _model_identity(text: str, location: Location, digests: Digests) -> dict[str, str]:
    path = Path(text).expanduser()
    if path.is_dir():
        return {"content": digests.folder(path)}
    if text.startswith(("/", "./", "../", "~")):
        raise IdentityError(f"{'.'.join(location)}: there is no folder {text}")
    return {"hub": text}
