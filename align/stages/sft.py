"""Supervised fine-tuning: base model + conversations -> a policy that answers.

Reads   model (stage, folder or Hub id), conversations
Writes  model/, adapter/, metrics.jsonl, data.json
Source  Ouyang et al. 2022, "Training language models to follow instructions", arXiv:2203.02155, §3.5
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from align.models.spec import ModelSpec
from align.stages.stage import StageIO
from align.training.spec import SftTrainer, TrainingSpec


@dataclass(frozen=True, kw_only=True)
class Sft(TrainingSpec):
    """Train on the last assistant turn of every conversation, its end included."""

    kind: Literal["sft"] = "sft"
    version: ClassVar[int] = 2
    trainer_class: ClassVar[str] = "trl.SFTConfig"

    model: ModelSpec
    trainer: SftTrainer = field(default_factory=dict)

    def check(self, io: StageIO) -> list[str]:
        """Problems that would stop this stage, as `field.path: problem`."""
        from trl import SFTConfig

        from align.data.records import Conversation
        from align.training.check import common_problems, row_problems
        from align.training.journal import POLICY_NAMES
        from align.training.token_columns import ConversationColumns

        return common_problems(self, io, SFTConfig, POLICY_NAMES) or row_problems(
            self, io, "model", Conversation, ConversationColumns, SFTConfig
        )

    def run(self, io: StageIO) -> None:
        """Train and save."""
        from transformers import set_seed
        from trl import SFTConfig

        from align.data.records import Conversation
        from align.data.source import load_rows
        from align.models.adapter import lora_config
        from align.models.causal import load_policy
        from align.models.quantization import loading
        from align.models.tokenizer import control_tokens_of, load_model_tokenizer
        from align.training.arguments import build_arguments
        from align.training.fit import fit
        from align.training.journal import POLICY_NAMES
        from align.training.rows import tokenised_split
        from align.training.token_columns import ConversationColumns
        from align.training.tokenise import row_limit
        from align.training.trainers import PlannedSFTTrainer

        set_seed(self.seed)
        # before any weights, which it may shard as they load
        arguments = build_arguments(SFTConfig, self, io, POLICY_NAMES)
        source = io.locate(self.model.path)
        tokenizer = load_model_tokenizer(source, self.model)
        model = load_policy(
            source,
            self.model,
            tokenizer,
            attention=io.resources.attention,
            quantization=loading(self.adapter, bf16=self.precision == "bf16"),
        )
        limit = row_limit(model, arguments.max_length)
        rows = tokenised_split(
            load_rows(self.data, Conversation, io.outputs, control_tokens=control_tokens_of(tokenizer)),
            io.output,
            io.outputs,
            ConversationColumns(tokenizer, limit, self.data.screening),
        )
        trainer = PlannedSFTTrainer(
            model=model,
            args=arguments,
            train_dataset=rows.train,
            eval_dataset=rows.held_out,
            processing_class=tokenizer,
            peft_config=lora_config(self.adapter, model, tokenizer, "CAUSAL_LM"),
        )
        fit(
            trainer,
            io.output,
            names=POLICY_NAMES,
            selection=self.selection,
            save_every_minutes=io.settings.save_every_minutes,
            keep_checkpoints=io.settings.keep_checkpoints,
            universal=io.settings.universal_checkpoints,
        )
