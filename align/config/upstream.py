"""Upstream: a dataclass of an installed package -> its fields, read from the source without importing it.

Importing a trainer's configuration costs seconds and brings torch along; reading the source of three files
takes some 60 ms and sees the same fields, because a dataclass is all there in the text.
"""

import ast
import builtins
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin


@dataclass(frozen=True)
class Field:
    """One field of a dataclass we do not own.

    `hint` is its type with enumerations as literals of their values and other classes as plain mappings,
    which is all that YAML can give. `default` is the source text, good for comparing. `choices` come from the
    metadata.
    """

    hint: Any
    default: str
    choices: tuple[str, ...] = ()


@cache
def field_table(target: str) -> Mapping[str, Field]:
    """Field name -> field, for a class named like `trl.SFTConfig`, its base classes included.

    Raises:
        LookupError: the package is not installed or has no such class.
    """
    package, _, name = target.rpartition(".")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise LookupError(f"{package} is not installed")
    found = _find_class(Path(spec.origin), name)
    if found is None:
        raise LookupError(f"{package} has no class {name}")
    return dict(_fields(*found))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _find_class(path: Path, name: str) -> tuple[Path, ast.ClassDef] | None:
    """The class called `name` in a module, or where that module imports the name from, however far."""
    tree = _tree(path)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return path, node
    for inner in ast.walk(tree):  # also below `if TYPE_CHECKING`, where lazy packages list their contents
        if isinstance(inner, ast.ImportFrom):
            for alias in inner.names:
                if name in (alias.asname, alias.name) and (module := _module_file(path, inner)) is not None:
                    return _find_class(module, alias.name)
    return None


def _module_file(importer: Path, node: ast.ImportFrom) -> Path | None:
    """The file that `from … import` reads; only the top package is asked from the import system."""
    parts = (node.module or "").split(".") if node.module else []
    if node.level:
        folder = importer.parents[node.level - 1]
    else:
        spec = find_spec(parts[0])
        if spec is None or spec.origin is None:
            return None
        folder, parts = Path(spec.origin).parent, parts[1:]
    place = folder.joinpath(*parts)
    candidates = (place.with_suffix(".py"), place / "__init__.py") if parts else (place / "__init__.py",)
    return next((file for file in candidates if file.is_file()), None)


def _fields(path: Path, node: ast.ClassDef) -> dict[str, Field]:
    """Fields in dataclass order: those of the bases first, an overridden one keeps its place."""
    table: dict[str, Field] = {}
    for base in reversed(node.bases):
        found = _find_class(path, base.id) if isinstance(base, ast.Name) else None
        if found is not None:
            table.update(_fields(*found))
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                hint, default = _hint(statement.annotation, path), _arguments(statement.value)
                if (
                    get_origin(hint) is not typing.ClassVar
                    and ast.unparse(default.get("init", _TRUE)) == "True"
                ):
                    table[statement.target.id] = Field(hint, _default(default, node), _choices(default))
    return table


_TRUE = ast.Constant(True)


def _arguments(value: ast.expr | None) -> dict[str, ast.expr]:
    """The keyword arguments of `field(…)`; a plain default counts as its `default`."""
    if value is None:
        return {}
    if isinstance(value, ast.Call) and ast.unparse(value.func) in ("field", "dataclasses.field"):
        return {keyword.arg: keyword.value for keyword in value.keywords if keyword.arg}
    return {"default": value}


def _default(arguments: Mapping[str, ast.expr], owner: ast.ClassDef) -> str:
    """Source text of the default; a name is followed to what the class body assigns to it."""
    if "default_factory" in arguments:
        return f"{ast.unparse(arguments['default_factory'])}()"
    if "default" not in arguments:
        return ""
    default = arguments["default"]
    if isinstance(default, ast.Name):
        return " | ".join(_assigned(default.id, owner)) or default.id
    return ast.unparse(default)


def _assigned(name: str, owner: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(owner):
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            yield ast.unparse(node.value)


def _choices(arguments: Mapping[str, ast.expr]) -> tuple[str, ...]:
    metadata = arguments.get("metadata")
    if isinstance(metadata, ast.Dict):
        for key, value in zip(metadata.keys, metadata.values, strict=True):
            if (
                isinstance(key, ast.Constant)
                and key.value == "choices"
                and isinstance(value, ast.List | ast.Tuple)
            ):
                return tuple(ast.literal_eval(value))
    return ()


def _hint(annotation: ast.expr, path: Path) -> Any:
    """Evaluate an annotation where `typing`, the builtins and stand-ins for all other classes are known."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    enumerations: list[Any] = []
    known: dict[str, Any] = {"typing": typing}
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name) and not hasattr(builtins, node.id):
            values = () if hasattr(typing, node.id) else _enumeration(path, node.id)
            known[node.id] = Literal[values] if values else getattr(typing, node.id, dict[str, Any])
            enumerations += [known[node.id]] if values else []
    hint = eval(compile(ast.Expression(annotation), str(path), "eval"), known)
    return _without_text(hint, enumerations)


def _without_text(hint: Any, enumerations: list[Any]) -> Any:
    """`SomeEnum | str` admits the enumeration's values, not any text, which would be converted to one."""
    members = get_args(hint)
    if str in members and any(item in enumerations for item in members):
        return Union[tuple(item for item in members if item is not str)]  # noqa: UP007 (members known only now)
    return hint


@cache
def _enumeration(path: Path, name: str) -> tuple[str, ...]:
    """The values of an enumeration's members; empty for any other class."""
    found = _find_class(path, name)
    if found is None or not any("Enum" in ast.unparse(base) for base in found[1].bases):
        return ()
    return tuple(
        statement.value.value
        for statement in found[1].body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
