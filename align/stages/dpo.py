"""Direct preference optimisation: policy + preference pairs -> a policy that answers as people prefer.

Reads   policy (stage, folder or Hub id), preference pairs
Writes  model/, adapter/, metrics.jsonl, data.json
Source  Rafailov et al. 2023, "Direct Preference Optimization", arXiv:2305.18290, eq. 7
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from align.models.spec import ModelSpec
from align.stages.stage import StageIO
from align.training.spec import DpoTrainer, TrainingSpec


@dataclass(frozen=True, kw_only=True)
class Dpo(TrainingSpec):
    """Train the policy against a frozen copy of itself (or, with an adapter, itself without it)."""

    kind: Literal["dpo"] = "dpo"
    version: ClassVar[int] = 3
    trainer_class: ClassVar[str] = "trl.DPOConfig"

    policy: ModelSpec
    trainer: DpoTrainer = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        losses = self.trainer.get("loss_type", ["sigmoid"])
        smoothing = self.trainer.get("label_smoothing", 0.0)
        smoothed = sorted({"robust", "exo_pair", "aot", "aot_unpaired"} & set(losses))
        if smoothing and smoothed and "sigmoid" in losses:
            raise ValueError(
                f"trainer.label_smoothing means something else to sigmoid than to {', '.join(smoothed)}; "
                "choose one of them in trainer.loss_type, or set it to 0"
            )
        if "exo_pair" in losses and not smoothing:
            raise ValueError("the loss exo_pair needs trainer.label_smoothing above 0, such as 1e-3")
        if len(self.trainer.get("loss_weights") or losses) != len(losses):
            raise ValueError(
                "trainer.loss_weights needs one weight per entry of trainer.loss_type; null: equal ones"
            )
        if self.adapter is not None and self.trainer.get("sync_ref_model"):
            raise ValueError(
                "with an adapter the reference is the model without it: unset trainer.sync_ref_model"
            )

    def check(self, io: StageIO) -> list[str]:
        """Problems that would stop this stage, as `field.path: problem`."""
        from trl import DPOConfig

        from align.data.records import PreferencePair
        from align.training.check import common_problems, row_problems
        from align.training.journal import DPO_NAMES
        from align.training.token_columns import PairColumns

        return common_problems(self, io, DPOConfig, DPO_NAMES) or row_problems(
            self, io, "policy", PreferencePair, PairColumns, DPOConfig
        )

    def run(self, io: StageIO) -> None:
        """Train and save."""
        from transformers import set_seed
        from trl import DPOConfig

        from align.data.records import PreferencePair
        from align.data.source import load_rows
        from align.models.adapter import lora_config
        from align.models.causal import load_policy, load_reference
        from align.models.quantization import loading
        from align.models.tokenizer import control_tokens_of, load_model_tokenizer
        from align.training.arguments import build_arguments
        from align.training.fit import fit
        from align.training.journal import DPO_NAMES
        from align.training.rows import tokenised_split
        from align.training.token_columns import PairColumns
        from align.training.tokenise import row_limit
        from align.training.trainers import PlannedDPOTrainer

        set_seed(self.seed)
        # before any weights, which it may shard as they load
        arguments = build_arguments(DPOConfig, self, io, DPO_NAMES)
        source = io.locate(self.policy.path)
        tokenizer = load_model_tokenizer(source, self.policy)
        model = load_policy(
            source,
            self.policy,
            tokenizer,
            attention=io.resources.attention,
            quantization=loading(self.adapter, bf16=self.precision == "bf16"),
        )
        limit = row_limit(model, arguments.max_length)
        rows = tokenised_split(
            load_rows(self.data, PreferencePair, io.outputs, control_tokens=control_tokens_of(tokenizer)),
            io.output,
            io.outputs,
            PairColumns(tokenizer, limit, self.data.screening),
        )
        reference = None  # the policy itself, before training or without its adapter
        if not (self.adapter or arguments.precompute_ref_log_probs):
            reference = load_reference(source, self.policy, tokenizer, attention=io.resources.attention)
        trainer = PlannedDPOTrainer(
            model=model,
            ref_model=reference,
            args=arguments,
            train_dataset=rows.train,
            eval_dataset=rows.held_out,
            processing_class=tokenizer,
            peft_config=lora_config(self.adapter, model, tokenizer, "CAUSAL_LM"),
        )
        fit(
            trainer,
            io.output,
            names=DPO_NAMES,
            selection=self.selection,
            save_every_minutes=io.settings.save_every_minutes,
            keep_checkpoints=io.settings.keep_checkpoints,
            universal=io.settings.universal_checkpoints,
        )
