"""DPO losses against explicit formulas on log-probabilities summed by hand; those against golden numbers."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import DPOConfig

from align.data.records import PreferencePair
from align.models.causal import load_policy, load_reference
from align.models.spec import ModelSpec
from align.training.tokenise import tokenise_pairs
from align.training.trainers import PlannedDPOTrainer, as_robust
from tests.training.conftest import Settings

GOLDEN = json.loads((Path(__file__).parent / "golden" / "preference_losses.json").read_text())
BETA, SMOOTHING = GOLDEN["inputs"]["beta"], GOLDEN["inputs"]["label_smoothing"]


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# name -> (golden name, options of DPOConfig, loss of one pair given the log-ratios c and r of chosen and
# rejected, their difference h, and the difference m of their means per token).
Formula = Callable[[float, float, float, float], float]
FORMULAS: Mapping[str, tuple[str, dict[str, Any], Formula]] = {
    "sigmoid": ("sigmoid", {}, lambda c, r, h, m: -log_sigmoid(BETA * h)),
    "conservative": (
        "cdpo_label_smoothing",
        {"loss_type": ["sigmoid"], "label_smoothing": SMOOTHING},
        lambda c, r, h, m: -(1 - SMOOTHING) * log_sigmoid(BETA * h) - SMOOTHING * log_sigmoid(-BETA * h),
    ),
    "robust": (
        "robust",
        {"label_smoothing": SMOOTHING},
        lambda c, r, h, m: (
            (-(1 - SMOOTHING) * log_sigmoid(BETA * h) + SMOOTHING * log_sigmoid(-BETA * h))
            / (1 - 2 * SMOOTHING)
        ),
    ),
    "hinge": ("hinge", {}, lambda c, r, h, m: max(0.0, 1 - BETA * h)),
    "ipo": ("ipo_token_mean_trl", {}, lambda c, r, h, m: (m - 1 / (2 * BETA)) ** 2),
    "sigmoid_norm": ("sigmoid_norm_beta5", {"beta": 5.0}, lambda c, r, h, m: -log_sigmoid(5.0 * m)),
    "nca_pair": (
        "nca_pair",
        {},
        lambda c, r, h, m: (
            -log_sigmoid(BETA * c) - 0.5 * log_sigmoid(-BETA * c) - 0.5 * log_sigmoid(-BETA * r)
        ),
    ),
    "bco_pair": (
        "bco_pair_nodelta",
        {},
        lambda c, r, h, m: -log_sigmoid(BETA * c) - log_sigmoid(-BETA * r),
    ),
    "sppo_hard": (
        "sppo_hard",
        {},
        lambda c, r, h, m: (c - 0.5 / BETA) ** 2 + (r + 0.5 / BETA) ** 2,
    ),
    "apo_zero": ("apo_zero", {}, lambda c, r, h, m: 1 - sigmoid(BETA * c) + sigmoid(BETA * r)),
    "apo_down": ("apo_down", {}, lambda c, r, h, m: sigmoid(BETA * c) + 1 - sigmoid(BETA * h)),
    "exo_pair": (
        "exo_pair_eps0_1",
        {"label_smoothing": SMOOTHING},
        lambda c, r, h, m: (
            sigmoid(BETA * h) * (log_sigmoid(BETA * h) - math.log(1 - SMOOTHING))
            + sigmoid(-BETA * h) * (log_sigmoid(-BETA * h) - math.log(SMOOTHING))
        ),
    ),
}
UNCHECKED = ("aot", "aot_unpaired", "discopop", "sft")


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_give_the_golden_numbers(name: str) -> None:
    golden_name, _, formula = FORMULAS[name]
    given = GOLDEN["inputs"]
    chosen = [p - q for p, q in zip(given["policy_chosen"], given["ref_chosen"], strict=True)]
    rejected = [p - q for p, q in zip(given["policy_rejected"], given["ref_rejected"], strict=True)]

    found = [
        formula(c, r, h, m)
        for c, r, h, m in zip(chosen, rejected, GOLDEN["h"], GOLDEN["h_token_mean"], strict=True)
    ]

    assert found == pytest.approx(GOLDEN["losses"][golden_name], abs=1e-9)


def test_conservative_dpo_is_robust_dpo_at_another_smoothing() -> None:
    r = as_robust(SMOOTHING)
    for h, expected in zip(GOLDEN["h"], GOLDEN["losses"]["cdpo_label_smoothing"], strict=True):
        robust = (-(1 - r) * log_sigmoid(BETA * h) + r * log_sigmoid(-BETA * h)) / (1 - 2 * r)
        assert robust == pytest.approx(expected, abs=1e-9)


@pytest.fixture
def policies(tiny_model: Path, tokenizer: PreTrainedTokenizerBase) -> tuple[PreTrainedModel, PreTrainedModel]:
    """A reference, and a policy that differs from it a little."""
    spec = ModelSpec(path=str(tiny_model))
    policy = load_policy(spec.path, spec, tokenizer)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(torch.randn_like(weight) * 0.01)
    return policy, load_reference(spec.path, spec, tokenizer)


def logprob(model: PreTrainedModel, prompt: list[int], completion: list[int]) -> float:
    """Summed one token after the other, from the model's own logits."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + completion])).logits[0]
    table = logits.log_softmax(dim=-1)
    return sum(table[len(prompt) - 1 + place, token].item() for place, token in enumerate(completion))


def evaluated(
    policies: tuple[PreTrainedModel, PreTrainedModel],
    pairs: list[PreferencePair],
    tokenizer: PreTrainedTokenizerBase,
    arguments: dict[str, Any],
) -> float:
    rows = tokenise_pairs(pairs, tokenizer, None).dataset
    trainer = PlannedDPOTrainer(
        model=policies[0],
        ref_model=policies[1],
        args=DPOConfig(**{"beta": BETA, **arguments}),
        train_dataset=rows,
        eval_dataset=rows,
        processing_class=tokenizer,
    )
    loss: float = trainer.evaluate()["eval_loss"]
    return loss


@pytest.mark.parametrize("name", FORMULAS)
def test_trainer_follows_the_formula(
    name: str,
    policies: tuple[PreTrainedModel, PreTrainedModel],
    pairs: list[PreferencePair],
    tokenizer: PreTrainedTokenizerBase,
    settings: Settings,
) -> None:
    _, options, formula = FORMULAS[name]
    policy, reference = policies
    expected = []
    for row in tokenise_pairs(pairs[:8], tokenizer, None).dataset:
        c, r = (
            logprob(policy, row["prompt_ids"], row[side]) - logprob(reference, row["prompt_ids"], row[side])
            for side in ("chosen_ids", "rejected_ids")
        )
        expected.append(formula(c, r, c - r, c / len(row["chosen_ids"]) - r / len(row["rejected_ids"])))

    found = evaluated(policies, pairs[:8], tokenizer, settings(**{"loss_type": [name], **options}))

    assert found == pytest.approx(sum(expected) / len(expected), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", UNCHECKED)
def test_every_other_loss_runs(
    name: str,
    policies: tuple[PreTrainedModel, PreTrainedModel],
    pairs: list[PreferencePair],
    tokenizer: PreTrainedTokenizerBase,
    settings: Settings,
) -> None:
    assert math.isfinite(evaluated(policies, pairs[:8], tokenizer, settings(loss_type=[name])))
