"""Files stay short enough to read in one go, and no file is a drawer for whatever fits nowhere.

When a wall moves, edit the numbers below: FILE_LINES, FUNCTION_LINES, SCRIPT_LINES; and BANNED for names.
"""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES = 300
FUNCTION_LINES = 60
SCRIPT_LINES = 25  # scripts/bench_*.py are programs of their own and exempt
BANNED = {"utils", "util", "helpers", "helper", "common", "misc"}

LIBRARY = sorted((ROOT / "align").rglob("*.py"))
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length of every function, decorators left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (
                f"{name(path)}:{node.lineno} {node.name}",
                (node.end_lineno or node.lineno) - node.lineno + 1,
            )


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_files_and_functions_fit_their_budgets() -> None:
    everything = [*LIBRARY, *SCRIPTS, *TESTS]
    too_long = [
        f"{name(path)} has {lines_of(path)} lines" for path in everything if lines_of(path) > FILE_LINES
    ]
    too_long += [
        f"{function} has {length} lines"
        for path in everything
        for function, length in functions(path)
        if length > FUNCTION_LINES
    ]
    assert not too_long, "\n".join(["split by what the parts are about:", *too_long])


def test_scripts_are_thin() -> None:
    """A docstring with commands, a config name, one call: everything else belongs into `align/`."""
    for path in SCRIPTS:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert "python scripts/" in (ast.get_docstring(tree) or ""), f"{name(path)} shows no command"
        if not path.name.startswith("bench_"):
            assert lines_of(path) <= SCRIPT_LINES, name(path)
            assert sum(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body) <= 1, name(
                path
            )


def test_no_drawers() -> None:
    everything = [*LIBRARY, *SCRIPTS, *TESTS]
    assert len(LIBRARY) > 50
    assert len(SCRIPTS) > 5
    assert len(TESTS) > 20
    found = [name(path) for path in everything if BANNED & {path.stem, *path.relative_to(ROOT).parts}]
    assert not found


def test_package_files_are_empty_or_re_export_little() -> None:
    """`stages/__init__.py` holds the one stage table; the others at most five names."""
    packages = [path for path in LIBRARY if path.name == "__init__.py"]
    assert len(packages) > 8
    for path in packages:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
        others = [
            node
            for node in tree.body
            if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.Assign)
        ]
        if path.parent.name != "stages":
            assert len(imports) <= 5, name(path)
            assert not others, name(path)


def test_every_module_says_what_it_is() -> None:
    silent = [
        name(path)
        for path in [*LIBRARY, *SCRIPTS]
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


def test_the_figures_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Medians are reported, not enforced: run with `-s` to see them."""
    lengths = [
        len(path.read_text(encoding="utf-8").splitlines()) for path in LIBRARY if path.name != "__init__.py"
    ]
    spans = [length for path in LIBRARY for _, length in functions(path)]
    with capsys.disabled():
        print(
            f"\n{len(lengths)} files, median {statistics.median(lengths):.0f} lines, longest {max(lengths)}; "
            f"{len(spans)} functions, median {statistics.median(spans):.0f} lines, longest {max(spans)}"
        )
    assert spans
