"""Generated datasets can be written and looked at without training anything."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*words: str, outputs: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "sandbox.py"), f"paths.outputs={outputs}", *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_files_are_written_once_and_shown(tmp_path: Path) -> None:
    done = run("corpus=sandbox_ko", outputs=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.splitlines()[-1])
    assert folder.parent == tmp_path / "datasets"
    for file in folder.glob("*.jsonl"):
        rows = sum(1 for _ in file.open(encoding="utf-8"))
        assert f"{file.name}" in done.stdout and f"{rows:,}" in done.stdout
    written = {file: file.stat().st_mtime_ns for file in folder.iterdir()}

    again = run("corpus=sandbox_ko", outputs=tmp_path)
    assert again.stdout == done.stdout
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == written


def test_the_whole_sandbox_is_one_world(tmp_path: Path) -> None:
    """Every source and suite of a corpus is a file of the same folder: one set of arguments."""
    for corpus in ("sandbox", "sandbox_ko"):
        run(f"corpus={corpus}", outputs=tmp_path / corpus)
        assert len(list((tmp_path / corpus / "datasets").iterdir())) == 1


def test_a_corpus_without_generator_is_told(tmp_path: Path) -> None:
    done = run("corpus=koalpaca", "model=qwen3_0_6b_base", "pipeline=sft", outputs=tmp_path)
    assert (done.returncode, done.stderr) == (2, "corpus: nothing here is generated; choose corpus=sandbox\n")
    assert not tmp_path.joinpath("datasets").exists()


def test_a_language_without_a_sandbox_is_told(tmp_path: Path) -> None:
    done = run("corpus.text.sources.sandbox.generator.language=fr", outputs=tmp_path)
    assert done.returncode == 2
    assert "corpus.text.sources.sandbox.generator.language: should be 'en' or 'ko'" in done.stderr
