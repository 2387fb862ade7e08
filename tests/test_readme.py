"""Every command in the README works: each carries a tag in an HTML comment on the line above its code block.

<!-- run -->                the commands run as they stand
<!-- run: a=1 b=2 -->       they run with these words appended: the same command on a slice
<!-- plan -->               they run offline with `run.dry_run=true`
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from align.artifacts.store import Store

ROOT = Path(__file__).parents[1]
SHELLS = ("bash", "sh", "shell", "console")
TAG = re.compile(r"^<!--\s*(run|plan)(?::\s*(.*?))?\s*-->$")


@dataclass(frozen=True)
class Command:
    """One line of a shell block, with the tag that stands above the block."""

    line: int
    text: str
    tag: str | None
    extra: str


def commands(path: Path) -> list[Command]:
    """Every command line of every shell block, continuation lines joined."""
    found: list[Command] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        if lines[number].strip().removeprefix("```") in SHELLS and lines[number].strip().startswith("```"):
            tag = TAG.match(lines[number - 1].strip()) if number else None
            number += 1
            joined = ""
            while lines[number].strip() != "```":
                text = lines[number].split(" #")[0].strip()
                joined = f"{joined} {text.removesuffix(chr(92)).strip()}".strip()
                if joined and not text.endswith("\\"):
                    found.append(Command(number + 1, joined, tag and tag[1], (tag and tag[2]) or ""))
                    joined = ""
                number += 1
        number += 1
    return [command for command in found if not command.text.startswith("#")]


README = commands(ROOT / "README.md")


def test_the_readme_has_commands() -> None:
    assert len(README) >= 10


@pytest.mark.parametrize("command", README, ids=lambda command: f"line-{command.line}")
def test_every_command_is_tagged(command: Command) -> None:
    assert command.tag, (
        f"README.md:{command.line}: put <!-- run --> or <!-- plan --> above the block of {command.text!r}"
    )


def _environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "NO_COLOR": "1",
        "README_OUTPUTS": str(tmp_path / "outputs"),
    }


@pytest.mark.parametrize("command", README, ids=lambda command: f"line-{command.line}")
def test_every_command_works(command: Command, tmp_path: Path) -> None:
    if "$ALIGN_DATA" in command.text and "ALIGN_DATA" not in os.environ and command.tag == "run":
        pytest.skip("ALIGN_DATA is not set: the real datasets are not here")
    words = f"{command.text} {command.extra if command.tag == 'run' else 'run.dry_run=true'}"
    store = Store(tmp_path / "outputs")  # for the commands that show or remove what was built
    store.acquire(store.artifact("sft", "0123456789ab")).release("failed", "an example")
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", words],
        cwd=ROOT,
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )
    shown = shlex.join(["bash", "-c", words])
    assert finished.returncode == 0, (
        f"README.md:{command.line}: {shown}\n{finished.stdout[-3000:]}\n{finished.stderr[-3000:]}"
    )
