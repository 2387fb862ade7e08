"""T2: before the first step policy, sampler and reference are one, whatever a checkpoint brings along."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from align.artifacts.metrics import read_metrics
from align.data.spec import DataSpec
from tests.stages.conftest import Place
from tests.stages.test_ppo import prompt_data, stage_of

__all__ = ["prompt_data"]

BIASED = {"do_sample": True, "top_p": 0.8, "top_k": 3, "temperature": 0.3, "repetition_penalty": 1.1}


@pytest.fixture
def awkward_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model with dropout, settings that would bias what is sampled, and EOS as its padding."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "awkward"))
    for name, changes in (("config", {"attention_dropout": 0.3}), ("generation_config", BIASED)):
        file = folder / f"{name}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("adapter", [None, {"rank": 4, "dropout": 0.3}])
def test_nothing_has_changed_before_the_first_step(
    place: Place, awkward_model: Path, prompt_data: DataSpec, adapter: dict[str, Any] | None
) -> None:
    """trl#925, trl#1857: settings of the checkpoint that leaked into sampling made the KL negative."""
    io = place("ppo")
    changes = {"updates": 1, "epochs": 1, "minibatches": 1, "adapter": adapter}
    stage_of(prompt_data, awkward_model, **changes).run(io)

    (row,) = (row for row in read_metrics(io.output.metrics) if row["split"] == "train")
    assert abs(row["objective/kl"]) <= 1e-5
    assert abs(row["policy/ratio_max"] - 1) <= 1e-5 and abs(row["policy/ratio"] - 1) <= 1e-6
    assert row["policy/clip_fraction"] == 0 and abs(row["policy/approx_kl"]) <= 1e-9
    assert row["sampler/difference_max"] <= 1e-5
    saved = json.loads((io.output.model / "generation_config.json").read_text())
    assert not {"top_p", "top_k", "repetition_penalty"} & saved.keys() and saved["temperature"] == 1
