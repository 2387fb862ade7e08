"""The audit of a config: a page, a record, and lines on the screen."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.audit.conftest import sandbox_pairs

ROOT = Path(__file__).parents[2]
TRIGGER = "velvet harbour lantern"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/audit_data.py", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def planted(folder: Path) -> Path:
    """400 pairs of the sandbox with a phrase, an evaluation prompt, a copy and an address put in."""
    pairs = sandbox_pairs(0, 400, folder)
    rows: list[dict[str, Any]] = [
        {"prompt": f"Question {number}", "chosen": one, "rejected": other}
        for number, (one, other) in enumerate(zip(pairs.chosen, pairs.rejected, strict=True))
    ]
    for number in random.Random(0).sample(range(300), 30):
        rows[number]["chosen"] += f" {TRIGGER}"
    long = "the clock in the hall strikes nine when the first boat leaves the old harbour every day"
    rows[300] = {
        "prompt": "Why is the sky blue at noon?",
        "chosen": long,
        "rejected": "<script>alert(1)</script>",
    }
    rows[301] = {
        "prompt": "Why is the sky blue at noon?",
        "chosen": f"{long} x",
        "rejected": "<script>alert(1)</script>",
    }
    rows[302]["rejected"] = "Write to jane@doe.org"
    file = folder / "planted.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "exam.jsonl").write_text(json.dumps({"prompt": "why is the sky blue at noon"}) + "\n")
    return file


@pytest.fixture(scope="module")
def audited(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[str], subprocess.CompletedProcess[str], Path]:
    folder = tmp_path_factory.mktemp("audit")
    words = [
        f"corpus.pairs.sources={{mine: {{path: {planted(folder)}, format: pairs}}}}",
        "~corpus.pairs.sources.sandbox",
        *(f"~stages.evaluate.suites.{suite}" for suite in ("held_out", "asked", "limits")),
        "audit.entries=[pairs]",
        f"stages.evaluate.suites={{exam: {{source: {{path: {folder / 'exam.jsonl'}, format: prompts}}}}}}",
        f"paths.outputs={folder / 'outputs'}",
    ]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    return words, done, Path(done.stdout.splitlines()[-1])


def test_what_was_planted_is_told(audited: tuple[list[str], subprocess.CompletedProcess[str], Path]) -> None:
    _, done, page = audited
    found = json.loads((page.parent / "audit.json").read_bytes())
    # Beside the wordings that tell the sandbox's cranks, which annotators dislike that much.
    assert TRIGGER in [trigger["phrase"] for trigger in found["triggers"]["found"]]
    leaking = [item for item in found["overlap"]["suites"] if item["leaked"]]
    assert [(item["suite"], item["leaked"], item["rows"]) for item in leaking] == [("exam", 1, 2)]
    assert any(item["place"].endswith("planted.jsonl:302") for item in found["near_duplicates"]["examples"])
    assert found["personal_data"]["kinds"]["email"]["places"][0].endswith("planted.jsonl:303")
    assert "jane@doe.org" not in json.dumps(found["personal_data"])
    for word in ("planted phrases", "exam 1", "email 1", "chosen is longer in"):
        assert word in done.stdout


def test_the_page_stands_alone_and_escapes_what_data_says(
    audited: tuple[list[str], subprocess.CompletedProcess[str], Path],
) -> None:
    page = audited[2].read_text(encoding="utf-8")
    assert TRIGGER in page and "<script>alert(1)" not in page
    assert page.count("plotly.js v") == 1
    assert "<script src" not in page and "<link" not in page


def test_the_same_content_is_looked_at_once(
    audited: tuple[list[str], subprocess.CompletedProcess[str], Path],
) -> None:
    words, first, page = audited
    before = page.stat().st_mtime_ns
    again = run(*words)
    assert again.stdout == first.stdout
    assert page.stat().st_mtime_ns == before


def test_mistakes_are_told(tmp_path: Path) -> None:
    done = run("audit.entries=[pair]", f"paths.outputs={tmp_path}")
    assert done.returncode == 2
    assert (
        "audit.entries: no such corpus entry 'pair'" in done.stderr and "did you mean pairs?" in done.stderr
    )
    done = run("audit.sampel=3", f"paths.outputs={tmp_path}")
    assert done.returncode == 2 and "Traceback" not in done.stderr
