"""Verdict: what the processes of a stage said, or left unsaid -> one outcome that names the rank to blame."""

import signal
from collections.abc import Mapping

from align.pipeline.job import Outcome

# How gloo, NCCL and torch's store say that another process is gone, or silent for too long.
_COLLECTIVE = ("gloo", "nccl", "disterror", "diststore", "distbackend", "distnetwork", "pair closure")
_UNANSWERED = (
    "connection reset",
    "connection closed",
    "broken pipe",
    "remote process exited",
    "timed out",
    "timeout",
)


def is_abandoned(problem: BaseException) -> bool:
    """Whether an error means that another process of the group answers no more."""
    text = f"{type(problem).__name__}: {problem}".lower()
    return any(sign in text for sign in _COLLECTIVE) and any(sign in text for sign in _UNANSWERED)


def posthumous(code: int, rank: int | None = None) -> Outcome:
    """What is to be said of a process that could not say it itself; of a rank, or of a lone worker."""
    who, rank = ("the worker", 0) if rank is None else (f"rank {rank}", rank)
    if code == -signal.SIGKILL:
        cause = f"{who} was killed (signal 9), most often because the machine had no memory left"
        return Outcome(state="starved", messages=(cause,), rank=rank)
    cause = f"{who} ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"
    return Outcome(state="failed", messages=(cause,), rank=rank)


def verdict(outcomes: Mapping[int, Outcome], ranks: range) -> Outcome | None:
    """One outcome of a host's ranks: of the first to blame, else the first's; None where nobody spoke."""
    bad = [outcome for outcome in outcomes.values() if outcome.state != "done"]
    if not bad:
        return outcomes.get(ranks[0])
    to_blame = [outcome for outcome in bad if outcome.state not in ("abandoned", "stopped")]
    stopped = [outcome for outcome in bad if outcome.state == "stopped"]
    if to_blame or stopped:
        return _named((to_blame or stopped)[0], ranks)
    silent = [rank for rank in ranks if rank not in outcomes]
    if not silent:
        return _named(bad[0], ranks)
    who = " and ".join(f"rank {rank}" for rank in silent)
    told = f"rank {bad[0].rank}: {bad[0].messages[0]}"
    cause = f"{who} no longer answered within launcher.timeout_minutes; {told}"
    return Outcome(state="abandoned", messages=(cause,), rank=silent[0])


def _named(outcome: Outcome, ranks: range) -> Outcome:
    first, *rest = outcome.messages or ("",)
    if (
        len(ranks) == 1
        or outcome.state in ("refused", "stopped")
        or first.startswith(f"rank {outcome.rank} ")
    ):
        return outcome
    messages = (f"rank {outcome.rank}: {first}", *rest)
    return Outcome(state=outcome.state, messages=messages, rank=outcome.rank)
