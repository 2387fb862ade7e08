"""Journal: what a trainer logs -> metrics.jsonl under the names of the house."""

import sys
from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from align.artifacts.metrics import TOTAL_STEPS, MetricsLog
from align.training.alarms import Alarms

HELD_OUT = "held_out"
SCHEDULE = "schedule"  # split of the first line, which says how many steps there will be
_EVALUATION = "eval_"
_PART = "eval_of/"
_SUMMARY = "train_runtime"  # in the last line of a trainer, which knows nothing of what came before a resume

# TRL's name -> ours. What is not listed keeps its name under `trainer/`.
POLICY_NAMES: Mapping[str, str] = {
    "loss": "policy/loss",
    "mean_token_accuracy": "policy/token_accuracy",
    "entropy": "objective/entropy",
}
DPO_NAMES: Mapping[str, str] = {
    **POLICY_NAMES,
    "rewards/margins": "dpo/margin",
    "rewards/accuracies": "dpo/accuracy",
    "rewards/chosen": "dpo/chosen_reward",
    "rewards/rejected": "dpo/rejected_reward",
    "logps/chosen": "dpo/chosen_logprob",
    "logps/rejected": "dpo/rejected_logprob",
}
REWARD_NAMES: Mapping[str, str] = {
    "loss": "reward_model/loss",
    "accuracy": "reward_model/accuracy",
    "margin": "reward_model/margin",
    "mean_reward": "reward_model/score",
}


def part_metric(source: str, name: str) -> str:
    """What a trainer logs a metric under that was measured on the held-out rows of one source."""
    return f"{_PART}{source}/{name}"


class Journal(TrainerCallback):
    """Mirrors every log line of a trainer. Alarms are printed.

    Evaluations go under the split `held_out`, those of one source's rows under `held_out/<source>`.
    """

    def __init__(self, log: MetricsLog, names: Mapping[str, str]) -> None:
        self._log = log
        self._names = names
        self._alarms = Alarms()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero and state.global_step == 0:  # a resumed run has told before
            self._log.append(0, {TOTAL_STEPS: state.max_steps}, SCHEDULE)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero or _SUMMARY in (logs or {}):
            return
        numbers = {
            name: float(value) for name, value in (logs or {}).items() if isinstance(value, (int, float))
        }
        held_out = {
            name.removeprefix(_EVALUATION): value
            for name, value in numbers.items()
            if name.startswith(_EVALUATION)
        }
        train = {name: value for name, value in numbers.items() if not name.startswith(_EVALUATION)}
        if part := [name for name in numbers if name.startswith(_PART)]:
            source = part[0].removeprefix(_PART).partition("/")[0]
            own = {name.removeprefix(part_metric(source, "")): numbers[name] for name in part}
            self._log.append(state.global_step, self._renamed(own), f"{HELD_OUT}/{source}")
        elif held_out:
            self._log.append(state.global_step, self._renamed(held_out), HELD_OUT)
        elif train:
            metrics = self._renamed(train)
            self._log.append(state.global_step, metrics)
            said = self._alarms.new(metrics)
            sys.stdout.writelines(f"alarm at step {state.global_step}: {line}\n" for line in said)

    def _renamed(self, values: Mapping[str, float]) -> dict[str, float]:
        return {self._names.get(name, f"trainer/{name}"): value for name, value in values.items()}
