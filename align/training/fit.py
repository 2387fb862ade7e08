"""Fit: a trainer -> a trained artifact.

Reads   checkpoints/ of an interrupted run
Writes  model/, adapter/, metrics.jsonl, checkpoints/
"""

from collections.abc import Mapping
from typing import cast

from transformers import EarlyStoppingCallback, PreTrainedTokenizerBase, Trainer

from align.artifacts.metrics import MetricsLog
from align.artifacts.store import ArtifactDir
from align.data.contract import contract_of
from align.models.quantization import full_precision_adapter, quantization_of
from align.models.saving import save_model
from align.runtime.processes import assert_world
from align.runtime.saving import Due, checkpoint_to_resume
from align.runtime.unshard import unshard
from align.training.checkpoints import Checkpoints, layout_of
from align.training.journal import Journal
from align.training.spec import SelectionSpec


def fit(
    trainer: Trainer,
    output: ArtifactDir,
    *,
    names: Mapping[str, str],
    selection: SelectionSpec | None = None,
    save_every_minutes: float | None = None,
    keep_checkpoints: int = 2,
    universal: bool = False,
) -> None:
    """Train, resuming where a checkpoint is whole, evaluate before and after, and save the model.

    `universal` converts a checkpoint that another number of processes, or another ZeRO stage, wrote.

    Raises:
        ConfigError: there is such a checkpoint, and it is not to be converted.
        NonFiniteLossError: the loss became NaN or infinite.
        NonFiniteWeightsError: the weights did; nothing is saved.
        Stopped: it was asked to end early; a checkpoint is there.
    """
    assert_world(trainer.accelerator.num_processes)
    if quantization_of(trainer.model):
        full_precision_adapter(trainer.model)
    trainer.add_callback(Journal(MetricsLog(output.metrics), names))
    checkpoints = Checkpoints(Due(output, save_every_minutes), keep_checkpoints)
    trainer.add_callback(checkpoints)
    if selection is not None and selection.patience is not None:
        trainer.add_callback(EarlyStoppingCallback(selection.patience))
    checkpoint = checkpoint_to_resume(output, layout_of(trainer.args), universal=universal)
    # Inside the training loop: DeepSpeed has no engine to evaluate with before it.
    trainer.args.eval_on_start = checkpoint is None and trainer.eval_dataset is not None
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    checkpoints.raise_if_stopped()
    if trainer.eval_dataset is not None:
        trainer.evaluate()
    _save(trainer, output)


def _save(trainer: Trainer, output: ArtifactDir) -> None:
    if trainer.is_deepspeed_enabled:
        unshard(trainer.deepspeed)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if trainer.is_world_process_zero():
        tokenizer = cast(PreTrainedTokenizerBase, trainer.processing_class)
        tokenizer.padding_side = "left"  # the side for generation, which is what a saved model is for
        save_model(model, tokenizer, output)
        contract_of(tokenizer).save(output.model)
    trainer.accelerator.wait_for_everyone()
