"""Gate: what earlier stages have measured -> whether a stage may start. Torch-free."""

from collections.abc import Iterator
from dataclasses import dataclass

from align.artifacts.metrics import final_values
from align.config.problem import ConfigError, Problem
from align.config.suggest import did_you_mean
from align.pipeline.plan import Planned
from align.runtime.spec import GateSpec


@dataclass(frozen=True)
class GateResult:
    """A gate, and what was found measured; `value` is None where nothing was."""

    of: str
    metric: str
    minimum: float
    value: float | None


def gate_results(item: Planned) -> dict[str, GateResult]:
    """Every gate of a stage by name."""
    found = {}
    for name, gate in item.stage.require.items() if item.gates else ():
        value = final_values(item.gates[gate.stage].metrics).get(gate.metric)
        found[name] = GateResult(gate.stage, gate.metric, gate.minimum, value)
    return found


def require_gates(item: Planned) -> None:
    """Let a stage start only where every gate of it is passed.

    Raises:
        ConfigError: a value is below its minimum, or was not measured.
    """
    problems = [Problem(("stages", item.name, "require", name), line) for name, line in _refusals(item)]
    if problems:
        raise ConfigError(problems)


def _refusals(item: Planned) -> Iterator[tuple[str, str]]:
    for name, result in gate_results(item).items():
        if line := _refusal(item, item.stage.require[name], result.value):
            yield name, line


def _refusal(item: Planned, gate: GateSpec, value: float | None) -> str | None:
    artifact = item.gates[gate.stage]
    if value is None:
        measured = final_values(artifact.metrics)
        shown = ", ".join(sorted(measured)) or "nothing"
        hint = did_you_mean(gate.metric, measured)
        return f"{gate.stage} ({artifact.name}) has not measured {gate.metric!r} ({shown}){hint}"
    if value >= gate.minimum:
        return None
    return (
        f"{item.name} does not start: {gate.metric} of {gate.stage} ({artifact.name}) is {value:.4g}, and "
        f"{gate.minimum:.4g} is required; improve {gate.stage}, or lower the minimum"
    )
