"""Reporting: a finished run -> its page, written by a child process: plotly and jinja never burden this one.

Writes  runs/<name>/report.html, runs/<name>/cards/<stage>.md
"""

import subprocess
import sys
from pathlib import Path

MODULE = "align.report"
LIMIT_SECONDS = 120


class ReportFailed(RuntimeError):
    """The page could not be written; what the run built is not affected."""


def write_report(folder: Path) -> Path:
    """Write the report of a run folder.

    Returns:
        Where it lies.

    Raises:
        ReportFailed: with what went wrong, and how to try again.
    """
    again = f"python scripts/report.py {folder} tries again"
    try:
        done = subprocess.run(
            [sys.executable, "-m", MODULE, str(folder)],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            start_new_session=True,  # Ctrl-C reaches the pipeline alone, which then ends the child
        )
    except subprocess.TimeoutExpired:
        raise ReportFailed(f"the report took more than {LIMIT_SECONDS} s and was given up; {again}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ReportFailed(f"the report was not written: {last}; {again}")
    return Path(done.stdout.strip().splitlines()[-1])
