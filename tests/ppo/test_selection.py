"""Which update's weights are kept: the judge's best within the cap, and never a score that is no number."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from align.ppo.selection import Judged, Selection

SAID = [(1.0, 0.5), (2.0, 1.5), (math.nan, 0.5), (3.0, 9.0), (1.5, 1.0)]  # score and KL, update by update


class Policy:
    """An engine whose only weight is the number of the update."""

    def __init__(self) -> None:
        self.now = torch.zeros(())

    def weights(self) -> dict[str, torch.Tensor]:
        return {"weight": self.now.clone()}

    def put(self, weights: dict[str, torch.Tensor]) -> None:
        self.now = weights["weight"]


def kept(said: Sequence[tuple[float, float]], kl_cap: float | None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The update whose weights the policy has in the end, what was logged, and what `keep_best` returned."""

    class Asked:
        policy = Policy()

    logged = []
    selection = Selection(
        Asked(),  # type: ignore[arg-type]
        [],
        every=1,
        kl_cap=kl_cap,
        log=lambda update, metrics: logged.append(metrics["selection/update"]),
    )
    found = iter(said)
    monkeypatch.setattr(Selection, "_judge", lambda _: Judged(*next(found)))
    for update in range(1, len(said) + 1):
        Asked.policy.now = torch.tensor(float(update))
        selection.consider(update, is_last=update == len(said))
    best = selection.keep_best()
    return int(Asked.policy.now), logged, best


@pytest.mark.parametrize(
    ("kl_cap", "best", "logged"),
    [(None, 4, [1, 2, 2, 4, 4]), (2.0, 2, [1, 2, 2, 2, 2]), (1.0, 5, [1, 1, 1, 1, 5])],
)
def test_the_best_within_the_cap_is_kept(
    kl_cap: float | None, best: int, logged: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept(SAID, kl_cap, monkeypatch) == (best, logged, best)


def test_a_judge_that_begins_with_no_number_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept([(math.nan, 0.0), (-2.0, 0.1)], None, monkeypatch) == (2, [-1, 2], 2)


def test_where_no_update_stayed_within_the_cap_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kept(SAID, 0.1, monkeypatch) == (5, [-1] * 5, None)
    told = capsys.readouterr().out
    assert "no update" in told and "selection.kl_cap" in told and "0.1" in told
