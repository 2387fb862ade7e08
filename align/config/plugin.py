"""The `_target_` leaf: a dotted name and arguments -> a checked, buildable object.

The one place where YAML names Python. It is allowed on leaves only: data converters and filters, generators,
rewards, judges.
"""

import hashlib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import BeforeValidator, PlainSerializer


@dataclass(frozen=True)
class PluginSpec:
    """A dotted name and the keyword arguments it is called with."""

    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def resolve(self) -> Callable[..., Any]:
        """Import the target.

        Raises:
            ValueError: the module or the attribute does not exist, or the attribute is not callable.
        """
        module_name, _, attribute = self.target.rpartition(".")
        try:
            found = getattr(importlib.import_module(module_name), attribute)
        except (ImportError, AttributeError, ValueError) as cause:
            raise ValueError(f"cannot import {self.target}: {cause}") from cause
        if not callable(found):
            raise ValueError(f"{self.target} is not callable")
        return found  # type: ignore[no-any-return]

    def signature_problems(self, *reserved: str) -> list[str]:
        """Arguments that the target would refuse; `reserved` names are passed by the caller of `build`."""
        try:
            signature = inspect.signature(self.resolve())
            signature.bind_partial(**self.arguments)
        except (ValueError, TypeError) as cause:
            return [str(cause)]
        given = {*self.arguments, *reserved}
        return [
            f"{self.target} needs the argument {name!r}"
            for name, parameter in signature.parameters.items()
            if parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            and name not in given
        ]

    def argument_hints(self) -> Mapping[str, Any]:
        """Argument name -> type hint, annotations included; empty where they cannot be read."""
        target = self.resolve()
        if isinstance(target, type):
            target = inspect.getattr_static(target, "__init__")
        try:
            return get_type_hints(target, include_extras=True)
        except (AttributeError, NameError, TypeError):  # a slot wrapper, or names unknown at run time
            return {}

    def argument_defaults(self) -> Mapping[str, Any]:
        """Argument name -> default, for the arguments that have one."""
        parameters = inspect.signature(self.resolve()).parameters
        return {name: item.default for name, item in parameters.items() if item.default is not item.empty}

    def build(self, **extra: Any) -> Any:
        """Call the target with its arguments and `extra`."""
        return self.resolve()(**{**self.arguments, **extra})

    def source_digest(self) -> str:
        """sha256 of the file that defines the target: editing the code changes what it means."""
        source = inspect.getsourcefile(self.resolve())
        return hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else ""


def _from_yaml(value: Any) -> Any:
    if isinstance(value, Mapping):
        if not isinstance(value.get("_target_"), str):
            raise ValueError("expected a mapping with `_target_: package.module.name`")
        arguments = {key: item for key, item in value.items() if key != "_target_"}
        value = PluginSpec(value["_target_"], arguments)
    if not isinstance(value, PluginSpec):
        raise ValueError("expected a mapping with `_target_: package.module.name`")
    if found := [item for item in value.signature_problems() if not item.startswith(f"{value.target} needs")]:
        raise ValueError("; ".join(found))
    return value


def _to_yaml(value: PluginSpec) -> dict[str, Any]:
    return {"_target_": value.target, **value.arguments}


Plugin = Annotated[PluginSpec, BeforeValidator(_from_yaml), PlainSerializer(_to_yaml)]
