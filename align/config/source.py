"""Source: a callable -> a digest of the code that it means, what it imports from its own package included."""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def source_digest(target: Callable[..., Any]) -> str:
    """sha256 of the file that defines the target and of all that it imports, directly or not, from the same
    top-level package; empty where there is no source, as for builtins.
    """
    try:
        source = inspect.getsourcefile(target)
    except TypeError:
        source = None
    if source is None or not Path(source).is_file():
        return ""
    module = getattr(target, "__module__", "")
    files = {Path(source), *_closure(module)} if _file_of(module) == Path(source) else {Path(source)}
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _closure(module: str) -> Iterator[Path]:
    """The files of a module and of every module of its package that it reaches."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if name in seen or path is None:
            continue
        seen.add(name)
        yield path
        waiting += _imports(name, path)


@cache
def _file_of(module: str) -> Path | None:
    """Where a module lies, found without importing it or its parents."""
    top, *parts = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # not importable by this name, such as __main__
        return None
    if spec is None or (parts and not spec.submodule_search_locations):
        return None
    if not parts:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    stem = Path(list(spec.submodule_search_locations or [])[0], *parts)
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


@cache
def _imports(module: str, path: Path) -> tuple[str, ...]:
    """Names that a module imports from its own top-level package; some may be attributes of modules."""
    top = module.partition(".")[0]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(name for name in found if name.partition(".")[0] == top)
