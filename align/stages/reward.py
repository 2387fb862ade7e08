"""Reward modelling: policy + preference pairs -> a model that scores answers.

Reads   model (stage, folder or Hub id; a causal model gets a scalar head), preference pairs
Writes  model/, adapter/, metrics.jsonl, data.json
Source  Bradley and Terry 1952; Ouyang et al. 2022, arXiv:2203.02155, §3.5, eq. 1
"""

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal

from align.models.spec import ModelSpec
from align.stages.stage import StageIO
from align.training.spec import RewardTrainer, TrainingSpec


@dataclass(frozen=True, kw_only=True)
class Reward(TrainingSpec):
    """Train a scalar score so that chosen answers score above rejected ones."""

    kind: Literal["reward"] = "reward"
    version: ClassVar[int] = 3
    trainer_class: ClassVar[str] = "trl.RewardConfig"

    model: ModelSpec
    trainer: RewardTrainer = field(default_factory=dict)

    def check(self, io: StageIO) -> list[str]:
        """Problems that would stop this stage, as `field.path: problem`."""
        from trl import RewardConfig

        from align.data.records import PreferencePair
        from align.training.check import common_problems, row_problems
        from align.training.journal import REWARD_NAMES
        from align.training.token_columns import PairColumns

        return common_problems(self, io, RewardConfig, REWARD_NAMES) or row_problems(
            self, io, "model", PreferencePair, partial(PairColumns, joined=True), RewardConfig
        )

    def run(self, io: StageIO) -> None:
        """Train and save."""
        from transformers import set_seed
        from trl import RewardConfig

        from align.data.records import PreferencePair
        from align.data.source import load_rows
        from align.models.adapter import lora_config
        from align.models.quantization import loading
        from align.models.scalar import load_reward_model
        from align.models.tokenizer import control_tokens_of, load_model_tokenizer
        from align.training.arguments import build_arguments
        from align.training.fit import fit
        from align.training.journal import REWARD_NAMES
        from align.training.rows import tokenised_split
        from align.training.token_columns import PairColumns
        from align.training.tokenise import row_limit
        from align.training.trainers import PlannedRewardTrainer

        set_seed(self.seed)
        # before any weights, which it may shard as they load
        arguments = build_arguments(RewardConfig, self, io, REWARD_NAMES)
        source = io.locate(self.model.path)
        tokenizer = load_model_tokenizer(source, self.model)
        model = load_reward_model(
            source,
            self.model,
            tokenizer,
            attention=io.resources.attention,
            quantization=loading(self.adapter, bf16=self.precision == "bf16"),
        )
        limit = row_limit(model, arguments.max_length)
        rows = tokenised_split(
            load_rows(self.data, PreferencePair, io.outputs, control_tokens=control_tokens_of(tokenizer)),
            io.output,
            io.outputs,
            PairColumns(tokenizer, limit, self.data.screening, joined=True),
        )
        trainer = PlannedRewardTrainer(
            model=model,
            args=arguments,
            train_dataset=rows.train,
            eval_dataset=rows.held_out,
            processing_class=tokenizer,
            peft_config=lora_config(self.adapter, model, tokenizer, "SEQ_CLS"),
        )
        fit(
            trainer,
            io.output,
            names=REWARD_NAMES,
            selection=self.selection,
            save_every_minutes=io.settings.save_every_minutes,
            keep_checkpoints=io.settings.keep_checkpoints,
            universal=io.settings.universal_checkpoints,
        )
