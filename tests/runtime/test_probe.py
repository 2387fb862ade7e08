"""The probe refuses what is wrong, and tells what DeepSpeed could compile without compiling.

That the steps pass where all is well, tests/pipeline/test_doctor.py shows with real processes.
"""

import math
from pathlib import Path

import pytest
import torch

from align.runtime import probe, trial
from align.runtime.operators import OPERATORS, operator_states
from align.runtime.trial import ProofError, all_reduce, verify

SOUND = {"losses": [4.2, 3.9, 3.7], "alone": 3.7, "digests": ["a", "a"], "tolerance": 1e-3}


def test_what_one_process_computes_passes() -> None:
    verify(**SOUND)
    verify(**{**SOUND, "alone": 3.702})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"losses": [4.2, math.nan, 3.7]}, "does not fall: 4.2000, nan, 3.7000"),
        ({"losses": [4.2, 3.9, 3.9]}, "does not fall"),
        ({"losses": [4.2, 4.3, 3.7]}, "does not fall"),
        ({"digests": ["a", "b"]}, "different weights"),
        ({"alone": 3.71}, "came to 3.7000, with all rows on one process to 3.7100"),
    ],
)
def test_what_differs_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ProofError, match=told):
        verify(**{**SOUND, **wrong})


def test_a_wrong_sum_is_seen_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_is_wrong(values: torch.Tensor) -> torch.Tensor:
        summed = values.clone()
        summed[-1] += 1
        return summed

    monkeypatch.setattr(trial.group, "total", one_is_wrong)
    with pytest.raises(ProofError, match=f"1 of {2**24} sums over 1 processes are wrong"):
        all_reduce(torch.device("cpu"))


def test_a_step_that_fails_says_so_before_it_is_over(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="why"), probe._step(tmp_path / "events.jsonl", "group"):
        raise ValueError("why")
    begun, failed = (tmp_path / "events.jsonl").read_text().splitlines()
    assert '"state": "begun"' in begun
    assert '"state": "failed"' in failed and "ValueError: why" in failed


def test_operators_are_built_where_torch_put_them_and_lack_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    (tmp_path / "cpu_adam").mkdir()
    (tmp_path / "cpu_adam" / "cpu_adam.so").touch()
    states = operator_states()
    assert tuple(states) == OPERATORS
    assert states["cpu_adam"] == "built"
    assert states["fused_adam"].startswith("lacks g++, ninja")

    for tool in ("g++", "ninja"):
        (tmp_path / tool).touch(0o755)
    if torch.version.cuda is None:
        assert operator_states()["fused_adam"] == "can be built"
    monkeypatch.setattr("align.runtime.operators._header_folders", lambda: [tmp_path])
    assert "libaio.h" in operator_states()["async_io"]
    (tmp_path / "libaio.h").touch()
    assert "libaio.h" not in operator_states()["async_io"]
    assert [path.name for path in tmp_path.glob("*/*")] == ["cpu_adam.so"]  # nothing was compiled
