"""Runner: from what Hydra composed to finished artifacts; what every script calls.

Reads   a composed config, outputs/artifacts
Writes  outputs/artifacts/<kind>-<fingerprint>/, outputs/runs/<name>/
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from align.artifacts.lock import LostError
from align.artifacts.store import ArtifactError
from align.config.compose import as_yaml, bind
from align.config.problem import ConfigError
from align.pipeline.execute import StageFailed
from align.pipeline.follow import EndedElsewhere
from align.pipeline.invocation import Invocation
from align.pipeline.refusal import explain_composition, is_refusal
from align.pipeline.run import Run
from align.pipeline.session import Session
from align.pipeline.stopping import TRY_AGAIN, StopRequested, StopSignals
from align.pipeline.sweep import note_job

if TYPE_CHECKING:
    from omegaconf import DictConfig

FAILED, REFUSED, INTERRUPTED = 1, 2, 130
SECTIONS = [item.name for item in fields(Run)]
KEPT = "What was finished is kept; the same command goes on from there."


@dataclass(frozen=True)
class Ending:
    """How a run ended: its exit code, what to tell about it, and where it can be found."""

    code: int = 0
    message: str = ""
    folder: Path | None = None


def run_script(main: Callable[[], None]) -> None:
    """Call a script's `main`; what Hydra refuses becomes one message and exit code 2."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # have Hydra raise, instead of printing and leaving with 1
    try:
        main()
    except Exception as problem:
        if not is_refusal(problem):
            raise
        raise SystemExit(_tell(Ending(REFUSED, explain_composition(problem, SECTIONS)))) from None


def run_from_config(cfg: "DictConfig", only: str | None = None) -> None:
    """Build what the config describes, or print the plan.

    Args:
        cfg: what Hydra composed.
        only: build this stage alone; what it reads must be there.

    Raises:
        SystemExit: with 1 when a stage failed, 2 when the user has to put something right, 75 when a signal
            asked the run to stop, 130 when interrupted. The runs of a sweep note the first two instead, so
            that the next one starts.
    """
    invocation = Invocation.current()
    ending = _run(cfg, only, invocation)
    if invocation.job is not None:
        note_job(invocation, ending.code, ending.message, ending.folder)
    code = _tell(ending)
    if code and (invocation.job is None or code in (TRY_AGAIN, INTERRUPTED)):
        raise SystemExit(code)


def _run(cfg: "DictConfig", only: str | None, invocation: Invocation) -> Ending:
    session: Session | None = None
    signals = StopSignals()

    def ending(code: int, *lines: str) -> Ending:
        if session is not None:
            session.end(code, lines[0] if lines else "")
        return Ending(code, "\n".join(lines), session.folder if session else None)

    try:
        with signals:
            session = Session(bind(cfg, Run, only=only), only, invocation, as_yaml(cfg), signals)
            session.perform()
            return ending(0)
    except (ConfigError, ArtifactError) as problem:
        return ending(REFUSED, str(problem))
    except EndedElsewhere as problem:
        return ending(problem.code, str(problem))
    except (StageFailed, LostError) as problem:
        return ending(FAILED, str(problem), KEPT)
    except StopRequested as stop:
        return ending(TRY_AGAIN, f"stopped by {signals.received or 'another host'}: {stop}", KEPT)
    except KeyboardInterrupt:
        return ending(INTERRUPTED, "interrupted", KEPT)


def _tell(ending: Ending) -> int:
    if ending.message:
        sys.stderr.write(f"{ending.message}\n")
    return ending.code
