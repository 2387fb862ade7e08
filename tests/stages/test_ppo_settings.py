"""What a PPO stage says is what its parts are built with: nothing is fixed in the code or shared by two."""

from pathlib import Path

import pytest

from align.data.spec import DataSpec
from align.models.tokenizer import load_model_tokenizer
from align.ppo.models import build_models, load_base
from align.ppo.train import _controller, _shaping
from tests.stages.conftest import Place
from tests.stages.test_ppo import prompt_data, stage_of

__all__ = ["prompt_data"]


def test_policy_and_value_model_have_an_optimiser_each(
    place: Place, tiny_model: Path, prompt_data: DataSpec
) -> None:
    """Earlier code had one optimiser, at the policy's rate."""
    optimizers = {
        "policy_optimizer": {"learning_rate": 2e-3, "max_grad_norm": 0.5, "epsilon": 1e-6},
        "value_optimizer": {"learning_rate": 3e-3, "max_grad_norm": 2.0, "betas": [0.8, 0.9]},
    }
    stage, io = stage_of(prompt_data, tiny_model, **optimizers), place("ppo")
    tokenizer = load_model_tokenizer(str(tiny_model), stage.policy)
    models = build_models(stage, io, tokenizer, load_base(stage, io, tokenizer))

    engines, specs = (models.policy, models.value), (stage.policy_optimizer, stage.value_optimizer)
    for engine, spec in zip(engines, specs, strict=True):
        (group,) = engine.optimizer.param_groups
        assert (group["lr"], group["betas"], group["eps"]) == (spec.learning_rate, spec.betas, spec.epsilon)
        assert engine._max_grad_norm == spec.max_grad_norm
        assert {*map(id, group["params"])} == {*map(id, engine.module.parameters())}


@pytest.mark.parametrize("coefficient, clip", [(0.07, 3.0), (0.3, None)])
def test_coefficient_and_clip_are_those_that_were_set(
    place: Place, tiny_model: Path, prompt_data: DataSpec, coefficient: float, clip: float | None
) -> None:
    """DeepSpeed-Chat has 0.1 and 5 in its code."""
    for control in ("fixed", "adaptive"):
        kl = {"coefficient": coefficient, "control": control}
        stage = stage_of(prompt_data, tiny_model, kl=kl, shaping={"clip": clip})
        assert _controller(stage.kl).coefficient == coefficient
        assert _shaping(stage, place("ppo"), {}).clip == clip
