"""The machine and how it is used are never identity; what is trained on is."""

from pathlib import Path

import pytest

LOGISTICS = [
    ("hardware=2xcpu",),
    ("hardware=2xcpu", "parallel=zero2"),
    ("hardware=8xh100", "parallel=zero3"),
    ("hardware=2xcpu", "hardware.hosts=2", "launcher=slurm", "launcher.account=other"),
    (
        "hardware=cpu",
        "hardware.hosts=2",
        "parallel=zero3",
        "launcher=hosts",
        "launcher.address=10.77.0.1",
        "launcher.node_rank=1",
    ),
    (
        "resources.sft.micro_batch=2",
        "resources.sft.parallel=zero1",
        "resources.default.activation_checkpointing=true",
    ),
    ("checkpoints.every_steps=1", "logging.every_steps=7", "tracking=tensorboard", "run.name=other"),
]
IDENTITY = [
    "stages.sft.seed=1",
    "stages.sft.precision=bf16",
    "stages.sft.batch_size=4",
    "corpus.sft.max_rows=60",
]


def artifacts(output: str) -> list[str]:
    return [line.split()[1] for line in output.splitlines()]


def dry(toy, outputs: Path, *words: str) -> list[str]:
    done = toy.run(outputs, "run.dry_run=true", *words)
    assert done.returncode == 0, done.stderr
    return artifacts(done.stdout)


@pytest.fixture(scope="module")
def plain(toy, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return dry(toy, tmp_path_factory.mktemp("none"))


@pytest.mark.parametrize("words", LOGISTICS, ids=lambda words: " ".join(words))
def test_logistics_change_no_fingerprint(
    toy, tmp_path: Path, plain: list[str], words: tuple[str, ...]
) -> None:
    assert dry(toy, tmp_path, *words) == plain
    assert not any(tmp_path.glob("artifacts")) and not any(tmp_path.glob("runs"))


@pytest.mark.parametrize("word", IDENTITY)
def test_identity_changes_the_fingerprint(toy, tmp_path: Path, plain: list[str], word: str) -> None:
    changed = dry(toy, tmp_path, word)
    assert changed[0] == plain[0]
    assert changed[1] != plain[1] and changed[2] != plain[2]


def test_limited_rows_leave_plain_text_whole(toy, tmp_path: Path, plain: list[str]) -> None:
    limited = dry(toy, tmp_path, "limits.rows=8")
    assert limited[0] == plain[0]
    assert limited[1] != plain[1]
