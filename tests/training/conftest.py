"""Trainers on toy rows, ours and TRL's, with the settings they share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from align.models.tokenizer import load_tokenizer

Settings = Callable[..., dict[str, Any]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A function: overrides -> arguments for any TRL config, on the CPU, logging every step."""

    def given(**overrides: Any) -> dict[str, Any]:
        return {
            "output_dir": str(tmp_path / "checkpoints"),
            "use_cpu": True,
            "bf16": False,
            "activation_checkpointing": False,
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-2,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            **overrides,
        }

    return given


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    """The toy tokenizer speaking Llama 3, whose conversations end with their EOS."""
    return load_tokenizer(str(tiny_model), chat_template="llama3")
