"""Proximal policy optimisation: policy + reward sources + prompts -> a policy that scores higher.

Reads   policy and, where named, a value model (stage, folder or Hub id), prompts, whatever the rewards read
Writes  model/, value/, adapter/, ask.py, metrics.jsonl, samples.jsonl, data.json
Source  Schulman et al. 2017, arXiv:1707.06347; Ouyang et al. 2022, arXiv:2203.02155, §3.5
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from align.ppo.spec import PpoSpec
from align.stages.stage import StageIO


@dataclass(frozen=True, kw_only=True)
class Ppo(PpoSpec):
    """Optimise a policy by PPO."""

    kind: Literal["ppo"] = "ppo"
    version: ClassVar[int] = 3

    def check(self, io: StageIO) -> list[str]:
        """Problems that would stop this stage, as `field.path: problem`."""
        from align.evaluation.check import reward_problems
        from align.models.quantization import quantization_problems
        from align.ppo.check import data_problems
        from align.runtime.offload import offload_problems

        problems = [
            *self._machine_problems(io),
            *offload_problems(io.resources.parallel),
            *quantization_problems(self.adapter, io.resources.zero_stage),
            *data_problems(self, io),
        ]
        for name, entry in self.rewards.items():
            problems += reward_problems(f"rewards.{name}", entry.source, (), io)
            if not getattr(entry.source.resolve(), "is_for_training", True):
                problems.append(
                    f"rewards.{name}: {entry.source.target} is the ruler; put it under `measured`"
                )
        if self.selection is not None:
            judge = self.selection.judge
            problems += reward_problems("selection.judge", judge, (), io)
            if not getattr(judge.resolve(), "is_for_training", True):
                problems.append(
                    f"selection.judge: {judge.target} is the ruler; what it chose it cannot measure"
                )
        return problems

    def _machine_problems(self, io: StageIO) -> Iterator[str]:
        """What this machine, or the way it is to be used, does not allow."""
        resources, devices = io.resources, io.split(self.batch_size).devices
        if self.batch_size // devices % self.minibatches:
            yield (
                f"minibatches: a device's share of {self.batch_size // devices} episodes does not divide by "
                f"{self.minibatches}"
            )
        for field, share in (("ptx.batch_size", self.ptx), ("selection.prompts", self.selection)):
            rows = getattr(share, field.partition(".")[2], devices)
            if rows < devices:
                yield f"{field}: {rows} are too few for {devices} devices; set it to {devices} or above"
        if not resources.ds3_gather_for_generation and resources.zero_stage != 3:
            yield (
                f"resources.{io.name}.ds3_gather_for_generation: weights are always whole but under ZeRO-3; "
                "leave it on, or choose parallel=zero3"
            )
        for name in ("activation_checkpointing", "torch_compile", "liger"):
            if getattr(resources, name):
                yield f"resources.{io.name}.{name}: PPO does not know it; leave it off for this stage"

    def run(self, io: StageIO) -> None:
        """Train and save."""
        from align.ppo.train import train

        train(self, io)
