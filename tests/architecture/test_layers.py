"""Imports go strictly down: a package may import itself and what stands on a lower line of LAYERS.

When a wall moves, edit LAYERS below: one line per layer, lowest first; a new package of `align/` gets a
place there.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYERS = (
    ("config",),
    ("artifacts", "workers"),
    ("data", "sandbox", "models"),
    ("rewards", "runtime"),
    ("generation", "judges"),
    ("training", "ppo", "evaluation"),
    ("audit",),
    ("stages",),
    ("pipeline",),
    ("report", "chat", "preview", "description"),
    ("scripts",),
)
LEVEL = {package: level for level, layer in enumerate(LAYERS) for package in layer}
FILES = sorted([*(ROOT / "align").rglob("*.py"), *(ROOT / "scripts").glob("*.py")])


def package_of(path: Path) -> str:
    """`align/data/source.py` belongs to data, `scripts/sft.py` to scripts."""
    parts = path.relative_to(ROOT).parts
    return parts[0] if parts[0] == "scripts" else parts[1].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and package of every import of ours in a file, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; write the whole name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == "align" and rest:
                yield node.lineno, rest.partition(".")[0]


def test_every_package_has_a_layer() -> None:
    packages = {path.parent.name for path in (ROOT / "align").glob("*/__init__.py")}
    assert len(packages) > 8
    assert packages <= set(LEVEL)
    assert len(FILES) > 50


def test_imports_go_down() -> None:
    wrong = []
    for path in FILES:
        own = package_of(path)
        place = path.relative_to(ROOT)
        wrong += [
            f"{place}:{line}: {own} imports {other}, which is not below it"
            for line, other in imported(path)
            if own == "__init__" or (other != own and LEVEL[other] >= LEVEL[own])
        ]
    assert not wrong, "\n".join(wrong)


def test_the_rule_sees_imports_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text("def f():\n    from align.stages.sft import Sft\n    import align.data.source\n")
    assert list(imported(file)) == [(2, "stages"), (3, "data")]
