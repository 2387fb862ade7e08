"""Invocation: what Hydra knows about a command beyond its config: overrides, name, place in a sweep."""

from dataclasses import dataclass
from typing import Self

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from align.config.secret import MASK, is_secret


@dataclass(frozen=True)
class Invocation:
    """One run: alone, or number `job` of a sweep. `label` names its run folder where run.name does not."""

    overrides: tuple[str, ...] = ()
    label: str = "run"
    job: int | None = None

    @classmethod
    def current(cls) -> Self:
        """Read Hydra's own record of the running command; empty when a config was composed without one."""
        if not HydraConfig.initialized():
            return cls()
        hydra = HydraConfig.get()
        choices = hydra.runtime.choices
        return cls(
            overrides=tuple(hidden(override) for override in hydra.overrides.task),
            label=(choices.get("experiment") or choices.get("pipeline") or "run").replace("/", "-"),
            job=hydra.job.num if hydra.mode == RunMode.MULTIRUN else None,
        )


def hidden(override: str) -> str:
    """The override with its value masked where the key names a secret."""
    key, equals, _ = override.partition("=")
    return f"{key}={MASK}" if equals and is_secret(key.rpartition(".")[2]) else override
