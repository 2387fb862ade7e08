"""Pretraining: plain text -> a small base model and its tokenizer.

Reads   texts
Writes  model/, metrics.jsonl, data.json
Source  Radford et al. 2019, "Language models are unsupervised multitask learners"; Touvron et al. 2023,
        arXiv:2302.13971
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from align.config.spec import PositiveInt
from align.models.spec import ArchitectureSpec, TokenizerSpec
from align.stages.stage import StageIO
from align.training.spec import SftTrainer, TrainingSpec


@dataclass(frozen=True, kw_only=True)
class Pretrain(TrainingSpec):
    """Train a tokenizer, then a model from random weights on blocks of `block_length` tokens.

    `batch_size` is blocks per optimiser step.
    """

    kind: Literal["pretrain"] = "pretrain"
    version: ClassVar[int] = 2
    trainer_class: ClassVar[str] = "trl.SFTConfig"

    tokenizer: TokenizerSpec
    architecture: ArchitectureSpec
    block_length: PositiveInt = 256
    trainer: SftTrainer = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adapter is not None:
            raise ValueError("a model trained from random weights takes no adapter")
        if self.block_length > self.architecture.max_positions:
            raise ValueError(
                f"block_length {self.block_length} is above "
                f"architecture.max_positions {self.architecture.max_positions}"
            )

    @property
    def row_tokens(self) -> int | None:
        """Every row is a block."""
        return self.block_length

    def check(self, io: StageIO) -> list[str]:
        """Problems that would stop this stage, as `field.path: problem`."""
        from trl import SFTConfig

        from align.models.tokenizer import build_tokenizer, control_tokens_of
        from align.training.check import common_problems, text_problems
        from align.training.journal import POLICY_NAMES

        try:
            tokens = control_tokens_of(build_tokenizer(self.tokenizer, []))
        except ValueError as problem:
            return [f"tokenizer: {problem}"]
        return common_problems(self, io, SFTConfig, POLICY_NAMES) or text_problems(self, io, tokens)

    def run(self, io: StageIO) -> None:
        """Train and save tokenizer and model."""
        from transformers import set_seed
        from trl import SFTConfig

        from align.data.records import Text
        from align.data.source import load_rows
        from align.models.causal import build_policy
        from align.models.templates import SPECIAL_TOKENS
        from align.models.tokenizer import build_tokenizer
        from align.training.arguments import build_arguments
        from align.training.fit import fit
        from align.training.journal import POLICY_NAMES
        from align.training.rows import tokenised_split
        from align.training.tokenise import TextBlocks
        from align.training.trainers import PlannedSFTTrainer

        set_seed(self.seed)
        arguments = build_arguments(SFTConfig, self, io, POLICY_NAMES)
        special = [*SPECIAL_TOKENS, *self.tokenizer.extra_special_tokens]
        rows = load_rows(self.data, Text, io.outputs, control_tokens=special)
        tokenizer = build_tokenizer(
            self.tokenizer, (row.text for row in rows.train[: self.tokenizer.sample_rows])
        )
        split = tokenised_split(
            rows,
            io.output,
            io.outputs,
            TextBlocks(tokenizer, self.block_length),
        )
        trainer = PlannedSFTTrainer(
            model=build_policy(self.architecture, tokenizer),
            args=arguments,
            train_dataset=split.train,
            eval_dataset=split.held_out,
            processing_class=tokenizer,
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
