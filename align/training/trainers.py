"""Trainers: TRL's own, fed with our tokens in our batch order, and with what TRL 1.16 leaves out.

Source  conservative DPO: Mitchell 2023, "A note on DPO with noisy preferences", eq. 3
"""

from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import DPOTrainer, RewardTrainer, SFTTrainer

from align.training.batches import PlannedSampler, SortedSampler


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


class _Planned:
    """Mixed into a TRL trainer: tokenised rows as they are, batches by length, a stop at the first bad loss."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> PlannedSampler:
        arguments = self.args
        share = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
        sampler = PlannedSampler(self.train_dataset["length"], share * arguments.world_size, arguments.seed)
        self.add_callback(_EpochOfPlan(sampler))
        return sampler

    def _get_eval_sampler(self, eval_dataset: Dataset) -> SortedSampler:
        return SortedSampler(self.eval_dataset["length"])

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise NonFiniteLossError(
                f"the loss is {loss.item()} at step {self.state.global_step + 1}; lower trainer.learning_rate, "
                "set trainer.max_grad_norm, or look for broken rows"
            )
        return loss


class PlannedSFTTrainer(_Planned, SFTTrainer):
    """SFT on tokenised rows (`input_ids`, `labels`, `length`)."""


class PlannedRewardTrainer(_Planned, RewardTrainer):
    """Reward modelling on tokenised pairs (`chosen_ids`, `rejected_ids`, `length`)."""


class PlannedDPOTrainer(_Planned, DPOTrainer):
    """DPO on tokenised pairs (`prompt_ids`, `chosen_ids`, `rejected_ids`, `length`), with conservative DPO.

    TRL 1.16 ignores `label_smoothing` for the sigmoid loss. With x = beta * h, conservative DPO is
    -(1-e) log s(x) - e log s(-x) = -log s(x) + e x, and TRL's robust loss is -log s(x) - r x / (1-2r);
    they are the same for r = -e / (1-2e).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.label_smoothing and "sigmoid" in self.loss_types:
            self.loss_types = ["robust" if name == "sigmoid" else name for name in self.loss_types]
            self.label_smoothing = -self.label_smoothing / (1 - 2 * self.label_smoothing)
