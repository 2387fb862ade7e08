"""The `_target_` leaf: a dotted name and arguments -> a checked, buildable object.

The one place where YAML names Python. It is allowed on leaves only: data converters and filters, generators,
rewards, judges. An argument may itself be such a leaf, as the parts of a blended reward are.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pydantic import GetCoreSchemaHandler, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema, to_jsonable_python

from align.config.problem import shown
from align.config.schema import element, marks
from align.config.source import source_digest
from align.config.spec import ModelMark
from align.config.suggest import did_you_mean

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class PluginSpec:
    """A dotted name and the keyword arguments it is called with; nested leaves are PluginSpecs themselves."""

    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_yaml(cls, value: Any) -> "PluginSpec":
        """Read `{_target_: package.module.name, argument: value, …}`, import the name, check the arguments.

        Raises:
            ValueError: one line per problem, `argument: …` where it is about one.
        """
        problems: list[str] = []
        read = _read(value, (), problems)
        if not isinstance(read, PluginSpec):
            raise ValueError(f"should be a mapping with `_target_: package.module.name` (got {shown(value)})")
        if problems:
            raise ValueError("\n".join(problems))
        return read

    def as_yaml(self) -> dict[str, Any]:
        """The mapping that `from_yaml` reads."""
        return {"_target_": self.target, **{key: _plain(value) for key, value in self.arguments.items()}}

    def resolve(self) -> Callable[..., Any]:
        """Import the target.

        Raises:
            ValueError: the module or the attribute does not exist, or the attribute is not callable.
        """
        module_name, _, attribute = self.target.rpartition(".")
        try:
            module = importlib.import_module(module_name)
        except Exception as cause:  # a user's module may raise anything while it is imported
            raise ValueError(f"cannot import {self.target}: {cause}") from cause
        found = getattr(module, attribute, None)
        if not callable(found):
            hint = did_you_mean(attribute, [name for name in vars(module) if not name.startswith("_")])
            raise ValueError(f"cannot import {self.target}: {module_name} has no {attribute} to call{hint}")
        return found  # type: ignore[no-any-return]

    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The target's parameters; empty where it does not tell."""
        target = self.resolve()
        try:
            return inspect.signature(target).parameters
        except (ValueError, TypeError):  # some builtins have no signature
            return {}

    def argument_hints(self) -> Mapping[str, Any]:
        """Argument name -> type hint, annotations included; a hint that cannot be read is left out."""
        target = self.resolve()
        function = inspect.getattr_static(target, "__init__") if isinstance(target, type) else target
        names = getattr(function, "__globals__", {})
        hints = {}
        for name, parameter in self.parameters().items():
            hint = parameter.annotation
            if isinstance(hint, str):
                try:
                    hint = eval(hint, names)
                except (NameError, AttributeError, TypeError, SyntaxError):  # names only type checkers know
                    continue
            if hint is not parameter.empty:
                hints[name] = hint
        return hints

    def argument_defaults(self) -> Mapping[str, Any]:
        """Argument name -> default, for the arguments that have one."""
        return {
            name: item.default for name, item in self.parameters().items() if item.default is not item.empty
        }

    def missing_arguments(self, *reserved: str) -> list[str]:
        """Arguments that lack a default and a value; the caller of `build` passes the `reserved` ones."""
        return [
            f"{self.target} needs the argument {name!r}"
            for name, parameter in self.parameters().items()
            if parameter.kind in NAMED
            and parameter.default is parameter.empty
            and name not in {*self.arguments, *reserved}
        ]

    def located(self, locate: Callable[[str], str]) -> "PluginSpec":
        """A copy with every argument that names a model (`ModelRef`) sent through `locate`, nested too."""
        hints = self.argument_hints()
        arguments = {
            name: _located(value, hints.get(name, Any), locate) for name, value in self.arguments.items()
        }
        return replace(self, arguments=arguments)

    def build(self, **extra: Any) -> Any:
        """Call the target with its arguments, nested leaves built first, and `extra`.

        A function that needs more than that is not called yet: it comes back with these arguments bound.
        """
        built = {name: _mapped(value, PluginSpec.build) for name, value in self.arguments.items()}
        target = self.resolve()
        if inspect.isroutine(target) and self.missing_arguments(*extra):
            return partial(target, **{**built, **extra})
        return target(**{**built, **extra})

    def source_digest(self) -> str:
        """sha256 of the code that the target means: editing it changes what is built with it."""
        return source_digest(self.resolve())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Bind from YAML and write what binds again, wherever a field is typed Plugin."""
        return core_schema.no_info_plain_validator_function(
            cls.from_yaml, serialization=core_schema.plain_serializer_function_ser_schema(cls.as_yaml)
        )


Plugin = PluginSpec


def _mapped(value: Any, change: Callable[[PluginSpec], Any]) -> Any:
    """A value with `change` applied to every plugin in it."""
    if isinstance(value, PluginSpec):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item, change) for item in value]
    return value


def _located(value: Any, hint: Any, locate: Callable[[str], str]) -> Any:
    if isinstance(value, PluginSpec):
        return value.located(locate)
    if isinstance(value, Mapping):
        return {key: _located(item, element(hint), locate) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_located(item, element(hint), locate) for item in value]
    is_model = isinstance(value, str) and any(isinstance(mark, ModelMark) for mark in marks(hint))
    return locate(value) if is_model else value


def _plain(value: Any) -> Any:
    return to_jsonable_python(_mapped(value, PluginSpec.as_yaml))


def _read(value: Any, path: tuple[str, ...], problems: list[str]) -> Any:
    """A value from YAML with every `_target_` leaf in it turned into a plugin, innermost first."""
    if isinstance(value, Mapping):
        read = {
            str(key): _read(item, (*path, str(key)), problems)
            for key, item in value.items()
            if key != "_target_"
        }
        target = value.get("_target_")
        return read if target is None else _checked(str(target), read, path, problems)
    if isinstance(value, list):
        return [_read(item, (*path, str(index)), problems) for index, item in enumerate(value)]
    return value


def _checked(target: str, given: Mapping[str, Any], path: tuple[str, ...], problems: list[str]) -> PluginSpec:
    """Refuse arguments that the target would refuse, and keep the values as their annotations have them."""
    plugin = PluginSpec(target, given)
    try:
        parameters, hints = plugin.parameters(), plugin.argument_hints()
    except ValueError as cause:
        problems.append(": ".join(filter(None, (".".join(path), str(cause)))))
        return plugin
    takes_any = not parameters or any(item.kind is item.VAR_KEYWORD for item in parameters.values())
    names = [name for name, item in parameters.items() if item.kind in NAMED]
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in names and not takes_any:
            known = f"{', '.join(names)}){did_you_mean(name, names)}"
            problems.append(f"{'.'.join((*path, name))}: {target} has no such argument ({known}")
            continue
        try:
            values[name] = _as_annotated(value, hints.get(name, Any))
        except ValidationError as failure:
            message = failure.errors()[0]["msg"].replace("Input should", "should")
            problems.append(f"{'.'.join((*path, name))}: {message} (got {shown(value)})")
    return replace(plugin, arguments=values)


def _as_annotated(value: Any, hint: Any) -> Any:
    """The value as its type has it; types that pydantic does not know, such as protocols, are trusted."""
    try:
        return value if _holds_plugin(value) else TypeAdapter(hint).validate_python(value)
    except PydanticSchemaGenerationError:
        return value


def _holds_plugin(value: Any) -> bool:
    found: list[PluginSpec] = []
    _mapped(value, found.append)
    return bool(found)
