"""Golden numbers, and random completions of very unequal lengths."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from align.ppo.advantage import completion_mask

FOLDER = Path(__file__).parent / "golden"
GOLDEN: dict[str, dict[str, Any]] = json.loads((FOLDER / "ppo_golden.json").read_text())
PRECISIONS = ((torch.float64, 1e-12), (torch.float32, 1e-6))
LENGTHS = torch.tensor([9, 1, 4, 2, 9, 6, 1, 3])

Draw = Callable[[], torch.Tensor]
Total = Callable[[torch.Tensor], torch.Tensor]


def same(found: torch.Tensor, expected: Any, atol: float) -> None:
    """Every number within `atol`, and none of them NaN."""
    torch.testing.assert_close(
        found.double(), torch.as_tensor(expected, dtype=torch.float64), rtol=0, atol=atol
    )


@pytest.fixture(params=PRECISIONS, ids=("float64", "float32"))
def precision(request: pytest.FixtureRequest) -> tuple[torch.dtype, float]:
    """A dtype, and how far from the golden number a result may be."""
    return request.param


@pytest.fixture
def mask() -> torch.Tensor:
    """Eight completions, the last two columns never used. (8, 11)"""
    return completion_mask(LENGTHS, 11)


@pytest.fixture
def draw(mask: torch.Tensor) -> Draw:
    """A function: -> normal float64 numbers of the mask's shape, others at every call."""
    generator = torch.Generator().manual_seed(0)
    return lambda: torch.randn(mask.shape, generator=generator, dtype=torch.float64)


def over_processes(calls: Callable[[int, Total], torch.Tensor], processes: int) -> list[torch.Tensor]:
    """What each of several processes computes, where `calls(process, total)` is one of them.

    Totals are answered by replay: the processes run again and again, each time knowing one total more.
    """
    known: list[torch.Tensor] = []
    while True:
        asked: list[list[torch.Tensor]] = [[] for _ in range(processes)]

        def answers(process: int, asked: list[list[torch.Tensor]] = asked) -> Total:
            def total(tensor: torch.Tensor) -> torch.Tensor:
                asked[process].append(tensor)
                at = len(asked[process]) - 1
                return known[at] if at < len(known) else torch.zeros_like(tensor)

            return total

        found = [calls(process, answers(process)) for process in range(processes)]
        if len(asked[0]) == len(known):
            return found
        known.append(torch.stack([tensors[len(known)] for tensors in asked]).sum(dim=0))
