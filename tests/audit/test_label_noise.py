"""Turned labels look suspicious, and their share is told where it can be known."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from align.audit.completions import Completions
from align.audit.label_noise import cross_fitted_margins, features, label_noise
from tests.audit.conftest import sandbox_pairs, turned


def check_real(harmless: Completions, seed: int) -> None:
    pairs, flips = turned(harmless, 0.1, seed)
    noise = label_noise(pairs, seed=seed)
    decile = noise.most_suspicious(len(pairs) // 10)
    lift = np.mean([flips[row] for row in decile]) / np.mean(flips)
    assert lift >= 1.5
    assert roc_auc_score(flips, -noise.margins) >= 0.60
    assert noise.rate is None and noise.why_not


def test_flips_in_real_pairs_look_suspicious_and_their_rate_is_not_told(harmless: Completions) -> None:
    check_real(harmless, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_flips_in_real_pairs_on_more_seeds(harmless: Completions, seed: int) -> None:
    check_real(harmless, seed)


def check_sandbox(count: int, share: float, seed: int, folder: Path) -> None:
    """The crowd's own labels are the ground: close calls, on which it differs, are no turned labels."""
    pairs, flips = turned(sandbox_pairs(seed, count, folder), share, seed)
    noise = label_noise(pairs, seed=seed)
    assert noise.rate is not None, noise.why_not
    assert noise.rate.value == pytest.approx(np.mean(flips), abs=0.03)
    assert noise.rate.low <= noise.rate.value <= noise.rate.high


def test_flips_in_the_sandbox_are_counted(tmp_path: Path) -> None:
    check_sandbox(4000, 0.1, 0, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.2])
def test_flips_in_the_sandbox_are_counted_on_five_seeds(share: float, seed: int, tmp_path: Path) -> None:
    check_sandbox(8000, share, seed, tmp_path)


def test_margins_are_those_of_models_that_have_not_seen_the_prompt() -> None:
    """A word that one prompt alone has weighs nothing in that prompt's margins."""
    chosen = ["good"] * 60 + ["strange"] * 60
    rejected = ["bad"] * 60 + ["odd"] * 60
    pairs = Completions(chosen, rejected, [*range(60), *[60] * 60])
    margins = cross_fitted_margins(features(pairs), np.asarray(pairs.prompts), 0)
    assert margins[:60].min() > 0.5
    assert np.abs(margins[60:] - margins[60]).max() == 0
    # "strange" was never read; what is left is that chosen answers are longer by a letter, as it is by four.
    assert 0 < margins[60] < margins[:60].min() * 5


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="label noise needs 200 pairs"):
        label_noise(Completions(["a"], ["b"], [0]))
