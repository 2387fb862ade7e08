"""Every key that YAML can set is read by some code: an option that nothing reads is a promise not kept.

When a wall moves, edit SEEN_ONLY_AS_A_WHOLE: fields that are used without being named, each with its reason.
"""

import ast
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from align.config.schema import element, field_hints, members
from align.pipeline.run import Run

ROOT = Path(__file__).parents[2]
SEEN_ONLY_AS_A_WHOLE = {
    "seed": "composed into the stages, which read their own",
    "model": "composed into the stages",
    "corpus": "binding copies its entries into the stages that use them",
    "only": "binding drops the other stages",
    "limits": "binding writes them into the stages",
    "steps": "limits.steps, as above",
    "rows": "limits.rows, as above",
}


def specs(hint: Any, seen: set[type]) -> Iterator[type]:
    """Every dataclass that a bound run may hold."""
    for member in members(hint):
        if isinstance(member, type) and is_dataclass(member):
            if member not in seen:
                seen.add(member)
                yield member
                for inner in field_hints(member).values():
                    yield from specs(inner, seen)
        elif element(member) is not Any:
            yield from specs(element(member), seen)


def words_read() -> set[str]:
    """Every attribute that the library loads, and every text it may load one by."""
    words: set[str] = set()
    for path in (ROOT / "align").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                words.add(node.attr)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr":
                words |= {item.value for item in node.args if isinstance(item, ast.Constant)}
    return words


def test_every_key_is_read() -> None:
    found = list(specs(Run, set()))
    keys = {f"{spec.__name__}.{name}" for spec in found for name in field_hints(spec)}
    assert len(found) > 15
    assert len(keys) > 80
    read = words_read() | set(SEEN_ONLY_AS_A_WHOLE)
    assert not sorted(key for key in keys if key.partition(".")[2] not in read)
