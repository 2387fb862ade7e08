"""Trainers: TRL's own, fed with our tokens in our batch order, and with what TRL 1.16 leaves out.

Source  conservative DPO: Mitchell 2023, "A note on DPO with noisy preferences", eq. 3
"""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.sft_trainer import SFTTrainer

from align.models.attention import use_short_attention
from align.models.saving import NonFiniteWeightsError
from align.runtime import group
from align.runtime.layout import written_by
from align.runtime.universal import LATEST, convert, load_universal
from align.runtime.unshard import watch_gradients
from align.training.batches import PlannedSampler, SortedSampler
from align.training.checkpoints import layout_of
from align.training.journal import part_metric
from align.training.scoring import score_last, score_selected
from align.training.token_columns import SOURCE
from align.training.tokenise import lengths


class NonFiniteLossError(RuntimeError):
    """The loss is NaN or infinite; training on would destroy the weights."""


class _EpochOfPlan(TrainerCallback):
    """Tells the sampler which epoch begins; the loader does not when a run resumes on several processes."""

    def __init__(self, sampler: PlannedSampler) -> None:
        self._sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._sampler.epoch = int((state.epoch or 0.0) + 1e-6)


class _Planned(Trainer):
    """Mixed into a TRL trainer: rows as tokenised, batches by length, and a stop at the first bad loss."""

    model: Any
    train_dataset: Any
    eval_dataset: Any
    _metrics: Any
    _total_train_tokens: int

    # Metrics that the leaner scoring on the CPU leaves unmeasured.
    unmeasured: tuple[str, ...] = ()
    _part: Dataset | None = None  # what is evaluated just now, where it is not all held-out rows

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> PlannedSampler:
        share = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        sampler = PlannedSampler(lengths(self.train_dataset), share * self.args.world_size, self.args.seed)
        self.add_callback(_EpochOfPlan(sampler))
        return sampler

    def _get_eval_sampler(self, eval_dataset: Dataset) -> SortedSampler:
        return SortedSampler(lengths(self.eval_dataset if self._part is None else self._part))

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Measure the held-out rows, then those of each source by themselves where there are several."""
        measured: dict[str, float] = super().evaluate(*args, **kwargs)
        for name, rows in rows_by_source(self.eval_dataset).items():
            self._evaluate_part(name, self.eval_dataset.select(rows))
        return measured

    def _evaluate_part(self, name: str, part: Dataset) -> None:
        loaders = self.__dict__.pop("_eval_dataloaders", None)  # kept ones read the whole
        self._part = part
        try:
            loader = self.get_eval_dataloader(part)
            found = self.evaluation_loop(loader, f"Evaluation of {name}", prediction_loss_only=True)
        finally:
            self._part = None
            self.__dict__.pop("_eval_dataloaders", None)
            if loaders is not None:
                self._eval_dataloaders = loaders
        measured = self._metrics["eval"]
        values = {key: sum(own) / len(own) for key, own in measured.items() if key not in self.unmeasured}
        measured.clear()
        logged = {"loss": (found.metrics or {})["eval_loss"], **values}
        Trainer.log(self, {part_metric(name, key): value for key, value in logged.items()})

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Take no step beyond the last where its checkpoint is resumed; transformers 5.23 takes one more."""
        if self.state.global_step < self.state.max_steps:
            super()._run_epoch(*args, **kwargs)
        else:
            self.control.should_training_stop = True

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: DataLoader, resume_from_checkpoint: str | None
    ) -> Any:
        resumed = resume_from_checkpoint
        is_universal = resumed is not None and (Path(resumed) / LATEST).exists()
        prepared = super()._prepare_for_training(
            max_steps, train_dataloader, None if is_universal else resumed
        )
        if resumed is not None and is_universal:
            load_universal(self.deepspeed, Path(resumed))
            self._load_optimizer_and_scheduler(resumed)
        if self.is_deepspeed_enabled:
            watch_gradients(self.deepspeed)
        return prepared

    def _load_best_model(self) -> None:
        best = Path(self.state.best_model_checkpoint or "")
        written = written_by(best)
        if written is None or layout_of(self.args).reads(written):
            super()._load_best_model()
        else:  # it was best before the run went on with other processes
            load_universal(self.deepspeed, convert(best))

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        self._total_train_tokens = self.state.num_input_tokens_seen  # TRL 1.16 counts from 0 when it resumes
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self.state.num_input_tokens_seen = self._total_train_tokens
        if not torch.isfinite(loss):
            raise NonFiniteLossError(
                f"the loss is {loss.item()} at step {self.state.global_step + 1}; lower "
                "trainer.learning_rate, set trainer.max_grad_norm, or look for broken rows"
            )
        return loss

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        shares = [getattr(weight, "ds_tensor", weight) for weight in self.model.parameters()]  # under ZeRO-3
        is_broken = not all(bool(torch.isfinite(share).all()) for share in shares)
        if group.largest(int(is_broken), self.accelerator.device):
            raise NonFiniteWeightsError(
                f"weights are not finite at step {self.state.global_step}; nothing was saved"
            )
        super()._save_checkpoint(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        split = "train" if self.model.training else "eval"
        for name in self.unmeasured:
            self._metrics[split].pop(name, None)
        super().log(logs, start_time)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write none beside the checkpoints: what a model is stands in its artifact's lineage."""

    def _can_be_lean(self) -> bool:
        """On a CPU with whole weights; TRL's own head serves GPUs, and weights that ZeRO-3 shards."""
        return self.accelerator.device.type == "cpu" and not is_deepspeed_zero3_enabled()

    def _bare(self, model: torch.nn.Module) -> PreTrainedModel:
        """The model itself, out of the wrappers of DeepSpeed and peft."""
        whole = self.accelerator.unwrap_model(model)
        return cast(PreTrainedModel, whole.get_base_model() if isinstance(whole, PeftModel) else whole)

    def _score_lean(self, model: torch.nn.Module, *, is_paired: bool) -> None:
        bare = self._bare(model)
        use_short_attention(bare)
        if score_selected(bare, is_paired=is_paired):
            self.unmeasured = ("entropy", "logits/chosen", "logits/rejected")


class PlannedSFTTrainer(_Planned, SFTTrainer):
    """SFT on tokenised rows (`input_ids`, `labels`, `length`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._can_be_lean():
            self._score_lean(self.model, is_paired=False)


def rows_by_source(dataset: Dataset) -> dict[str, np.ndarray]:
    """The rows of each source, where there are several; else nothing."""
    if SOURCE not in dataset.column_names:
        return {}
    names, numbers = np.unique(dataset.with_format("numpy")[SOURCE][:], return_inverse=True)
    if len(names) < 2:
        return {}
    return {str(name): np.flatnonzero(numbers == number) for number, name in enumerate(names)}


def _scores_in_fp32(model: torch.nn.Module, inputs: Any, outputs: Any) -> Any:
    """Differences of scores in bf16, which DeepSpeed's engine computes in, would lose their margin."""
    outputs.logits = outputs.logits.float()
    return outputs


class PlannedRewardTrainer(_Planned, RewardTrainer):
    """Reward modelling on tokenised pairs (`chosen_ids`, `rejected_ids`, `length`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        bare = self._bare(self.model)
        if self._can_be_lean():
            use_short_attention(bare)
            score_last(bare)
        bare.register_forward_hook(_scores_in_fp32)


class PlannedDPOTrainer(_Planned, DPOTrainer):
    """DPO, conservative too, on tokenised pairs (`prompt_ids`, `chosen_ids`, `rejected_ids`, `length`)."""

    _is_lean = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lean()
        if self.label_smoothing and "sigmoid" in self.loss_types:
            self.loss_types = ["robust" if name == "sigmoid" else name for name in self.loss_types]
            self.label_smoothing = as_robust(self.label_smoothing)

    def _lean(self) -> None:
        if self._is_lean or not self._can_be_lean() or self.use_weighting:
            return
        self._is_lean = True
        for model in (self.model, self.ref_model):
            if model is not None:
                self._score_lean(model, is_paired=True)

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """Log-probabilities under the reference, in order of length; TRL goes in the order of the rows."""
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            with_columns: Dataset = super()._precompute_ref_logps(dataset, name, batch_size)
            return with_columns
        self._lean()
        order = list(SortedSampler(lengths(dataset)))
        loader = self.accelerator.prepare(
            DataLoader(dataset, batch_size, sampler=order, collate_fn=self.data_collator)
        )
        sides: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        for batch in loader:
            found = self.compute_ref_log_probs(self.ref_model or self.model, batch)
            for side, part in zip(sides, self.accelerator.gather_for_metrics(found), strict=True):
                side.append(part.cpu())
        back = torch.argsort(torch.tensor(order))
        chosen, rejected = (torch.cat(side)[back].tolist() for side in sides)
        columns = Dataset.from_dict({"ref_chosen_logps": chosen, "ref_rejected_logps": rejected})
        return concatenate_datasets([dataset, columns], axis=1)


def as_robust(label_smoothing: float) -> float:
    """The smoothing r at which TRL's robust loss is conservative DPO with smoothing e.

    TRL 1.16 ignores `label_smoothing` for the sigmoid loss. With x = beta * h, conservative DPO is
    -(1-e) log s(x) - e log s(-x) = -log s(x) + e x, and robust DPO is -log s(x) - r x / (1-2r); they are the
    same for r = -e / (1-2e).
    """
    return -label_smoothing / (1 - 2 * label_smoothing)
