"""A plugin's identity follows the code it means, through imports within its package and no further."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from align.config.source import source_digest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """entry imports near (relatively) and, inside a function, deep.far; other is imported by nobody."""
    name = f"package_{abs(hash(request.node.name))}"
    folder = tmp_path / name
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "deep" / "__init__.py").write_text("")
    (folder / "entry.py").write_text(
        "import json\nfrom .near import x\n\n"
        f"def run():\n    from {name}.deep import far\n    return far, x, json\n"
    )
    (folder / "near.py").write_text("x = 1\n")
    (folder / "deep" / "far.py").write_text("from ..near import x\n")
    (folder / "other.py").write_text("y = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def digest_in_child(package: Path) -> str:
    code = (
        f"import sys; sys.path.insert(0, {str(package.parent)!r})\n"
        f"from {package.name}.entry import run\n"
        "from align.config.source import source_digest\n"
        "print(source_digest(run)); print('far' in str(sorted(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    digest, imported = found.stdout.split()
    assert imported == "False", "reading a module's source must not import it"
    return digest


@pytest.mark.parametrize(
    "edited, changes",
    [("entry.py", True), ("near.py", True), ("deep/far.py", True), ("other.py", False)],
)
def test_what_is_reached_counts(package: Path, edited: str, changes: bool) -> None:
    before = digest_in_child(package)
    path = package / edited
    path.write_text(path.read_text() + "# edited\n")
    assert (digest_in_child(package) != before) == changes


def test_a_callable_without_source_has_none(package: Path) -> None:
    assert source_digest(len) == ""
    assert source_digest(importlib.import_module(f"{package.name}.entry").run) != ""
