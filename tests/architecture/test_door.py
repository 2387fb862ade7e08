"""Hydra stops at the door: past `bind` no code sees a DictConfig.

When a wall moves, edit DOOR (files that work with OmegaConf) or PASSES_ON (files that are given the
composed config and hand it to the door, naming its type and nothing more).
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOOR = {"align/config/compose.py", "align/config/groups.py"}
PASSES_ON = {
    "align/pipeline/runner.py",
    "align/pipeline/generate.py",
    "align/pipeline/fetch.py",
    "align/preview/command.py",
    "align/pipeline/audit.py",
}
FILES = sorted((ROOT / "align").rglob("*.py"))


def taken(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of everything a file takes from OmegaConf; whole modules count as all of it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "omegaconf":
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from ((node.lineno, "OmegaConf") for name in names if name.partition(".")[0] == "omegaconf")


def test_nobody_past_the_door_sees_a_dictconfig() -> None:
    wrong = []
    for path in FILES:
        place = str(path.relative_to(ROOT))
        allowed = {"DictConfig"} if place in PASSES_ON else set()
        if place not in DOOR:
            wrong += [f"{place}:{line}: {name}" for line, name in taken(path) if name not in allowed]
    assert not wrong, "\n".join(wrong)


def test_every_exception_is_needed() -> None:
    assert len(FILES) > 50
    for place in DOOR | PASSES_ON:
        assert list(taken(ROOT / place)), f"{place} needs no exception any more"
