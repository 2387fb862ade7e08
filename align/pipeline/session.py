"""Session: one bound run, from its plan to its last line on the screen."""

import json
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from align.artifacts.runs import publish
from align.artifacts.store import ArtifactError, Store
from align.config.problem import ConfigError, Problem
from align.data.standing import warnings_in
from align.evaluation.leaderboard_table import leaderboard_tables
from align.evaluation.reward_table import reward_tables
from align.evaluation.table import evaluation_tables
from align.pipeline.execute import Builder, StageFailed, check
from align.pipeline.follow import follow
from align.pipeline.forecast import forecast
from align.pipeline.hosts import hosts_of
from align.pipeline.invocation import Invocation
from align.pipeline.launch_spec import SlurmLauncher
from align.pipeline.launcher import Launcher
from align.pipeline.lead import LeadingLauncher
from align.pipeline.live import Board, screen
from align.pipeline.plan import Planned, describe, make_plan, missing_upstream
from align.pipeline.record import RunRecord, config_text
from align.pipeline.reporting import ReportFailed, write_report
from align.pipeline.run import Run
from align.pipeline.slurm import submit
from align.pipeline.stopping import StopSignals
from align.stages.evaluate import Evaluate
from align.training.spec import TrainingSpec

USUAL = (ConfigError, StageFailed, ArtifactError)  # ways to fail after which a page is worth its seconds


class Session:
    """Plans, checks, builds and reports; `folder` is the run folder once there is one."""

    def __init__(
        self, run: Run, only: str | None, invocation: Invocation, config: str, signals: StopSignals
    ) -> None:
        self.folder: Path | None = None
        self._run = run
        self._only = only
        self._invocation = invocation
        self._config = config_text(config, invocation.overrides)
        self._store = Store(run.paths.outputs)
        self._console = screen()
        self._signals = signals
        self._hosts = hosts_of(run)

    def perform(self) -> None:
        """Do what the run options ask for.

        Raises:
            ConfigError: something that the user can put right.
            StageFailed: a stage broke down; those before it are complete.
            StopRequested: a signal asked for it; what was done is saved.
        """
        plan = make_plan(self._run, self._store)
        if self._run.run.dry_run:
            self._print(describe(plan))
            return
        if isinstance(self._run.launcher, SlurmLauncher) and self._run.launcher.meeting is None:
            self._print([submit(self._run, self._run.launcher, self._invocation.label)])
            return
        if self._run.launcher.node_rank_here:
            follow(self._run, plan, self._console, self._signals)
            return
        if self._hosts is not None:
            self._hosts.gather(plan, self._console.print)
        targets = self._targets(plan)
        published = self._published(targets)
        todo = [item for item in targets if item.state == "run"]
        with (
            self._launcher() as launcher,
            Board([item.name for item in targets], self._console) as board,
        ):
            if todo:
                self._require_trackers()
                check(self._run, todo, launcher, board)
                board.expect(forecast(self._store, todo, self._run.hardware.name))
            if not self._run.run.check:
                self._build(targets, launcher, board)
        if self._run.run.check:
            self._print(["checked, nothing built:", *describe(targets)])
        else:
            self._report(targets, published)

    def end(self, code: int, message: str) -> None:
        """Tell the other hosts, where there are any, how the run ended here."""
        if self._hosts is not None:
            self._hosts.end(code, message)

    def _launcher(self) -> Launcher:
        accelerator, grace = self._run.hardware.accelerator, self._run.checkpoints.grace_seconds
        if self._hosts is None:
            return Launcher(accelerator, self._signals, grace)
        return LeadingLauncher(accelerator, self._signals, grace, self._hosts)

    def _targets(self, plan: Sequence[Planned]) -> Sequence[Planned]:
        if self._only is None:
            return plan
        if problems := missing_upstream(plan, self._run, self._only):
            raise ConfigError(problems)
        return [item for item in plan if item.name == self._only]

    def _build(self, targets: Sequence[Planned], launcher: Launcher, board: Board) -> None:
        options = self._run.run
        record = RunRecord.start(self._run.paths.outputs, options.name, self._invocation.label, self._config)
        self.folder = record.folder
        builder = Builder(self._run, self._store, launcher, board, record)
        try:
            for item in targets:
                self._signals.raise_if_received()
                builder.build(item)
        except BaseException as problem:
            record.write(error=str(problem) or "interrupted")
            if isinstance(problem, USUAL) and record.stages:
                self._print([f"what was built: {page}" for page in self._write_report(record.folder)])
            raise
        record.write()

    def _require_trackers(self) -> None:
        for tracker in self._run.tracking.trackers:
            try:
                version(tracker)
            except PackageNotFoundError:
                missing = f"{tracker} is not installed; pip install {tracker}"
                raise ConfigError([Problem(("tracking", "trackers"), missing)]) from None

    def _published(self, targets: Sequence[Planned]) -> Planned | None:
        """The stage whose model `run.publish` asks for: the last one that trains."""
        target = self._run.run.publish
        if target is None:
            return None
        trained = [item for item in targets if isinstance(item.stage, TrainingSpec)]
        if not trained:
            raise ConfigError([Problem(("run", "publish"), "no stage here trains a model")])
        if trained[-1].state == "run" and target.exists() and (target.is_file() or any(target.iterdir())):
            raise ConfigError([Problem(("run", "publish"), f"{target} is not empty; name another folder")])
        return trained[-1]

    def _report(self, targets: Sequence[Planned], published: Planned | None) -> None:
        for item in targets:
            if isinstance(item.stage, Evaluate):
                self._tabulate(item)
            for line in warnings_in(item.artifact.data):
                self._console.print(f"{item.name}: {line}", style="yellow", markup=False, soft_wrap=True)
        assert self.folder is not None
        pages = self._write_report(self.folder)
        if published is not None and self._run.run.publish is not None:
            card = self.folder / "cards" / f"{published.name}.md"
            text = card.read_text(encoding="utf-8") if card.is_file() else None
            publish(published.artifact, self._run.run.publish, text)
        self._print([str(self.folder), *map(str, pages)])

    def _write_report(self, folder: Path) -> list[Path]:
        """The run's page; without one the run is done all the same."""
        try:
            return [write_report(folder)]
        except ReportFailed as problem:
            sys.stderr.write(f"{problem}\n")
            return []

    def _tabulate(self, item: Planned) -> None:
        found = json.loads(item.artifact.evaluation.read_text(encoding="utf-8"))
        for table in evaluation_tables(found["rows"], found.get("shares")):
            self._console.print(table)
        for path, tables in (
            (item.artifact.leaderboards, partial(leaderboard_tables, has_pairs=False)),
            (item.artifact.reward_models, reward_tables),
        ):
            if path.exists():  # an earlier version wrote neither
                for entry in tables(json.loads(path.read_text(encoding="utf-8"))):
                    self._console.print(entry)

    def _print(self, lines: Sequence[str]) -> None:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
