"""Rows: a run -> the first rows of its stages as their models will see them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import trl

from align.artifacts.store import Store
from align.config.problem import ConfigError, Problem
from align.data.source import load_rows
from align.pipeline.execute import stage_job
from align.pipeline.plan import make_plan
from align.pipeline.run import Run
from align.ppo.prompts import longest_prompt
from align.preview.view import VIEWS, Preview, shown_row
from align.runtime.speaker import Speaker, speaker_of
from align.runtime.stage_io import StageIO
from align.training.limit import limit_of


def previews(run: Run) -> Iterator[Preview]:
    """One preview per stage that learns from rows, in the order of the pipeline.

    Raises:
        ConfigError: no stage does, or the tokenizer of one cannot be had.
        DataError: rows cannot be read.
    """
    wanted = [name for name in run.order() if run.run.only in (None, name)]
    shown = [name for name in wanted if run.stages[name].kind in VIEWS]
    if not shown:
        told = f"none of {', '.join(wanted)} learns from turns; name one of {', '.join(VIEWS)}"
        raise ConfigError([Problem(("run", "only"), told)])
    places: dict[str, tuple[Any, StageIO]] = {}
    plan = make_plan(run, Store(run.paths.outputs))
    places |= {item.name: (item.stage, replace(stage_job(run, item).io(), planned=places)) for item in plan}
    for name in shown:
        yield _preview(*places[name], run.run.preview_rows)


def _preview(stage: Any, io: StageIO, count: int) -> Preview:
    view = VIEWS[stage.kind]
    spec = getattr(stage, view.field)
    speaker, problems = speaker_of(f"stages.{io.name}.{view.field}", spec, io)
    if problems or speaker is None:
        told = problems or [f"stages.{io.name}.{view.field}.path: nothing to take a tokenizer from"]
        raise ConfigError([Problem((), line) for line in told])
    if not speaker.is_final:
        raise ConfigError(
            [
                Problem(
                    ("stages", io.name, view.field, "path"),
                    f"the vocabulary of {spec.path} is still to be learnt, so there are no tokens to show; "
                    "build that stage first (run.only), or name a model that is there",
                )
            ]
        )
    limit = _limit(stage, speaker)
    rows = load_rows(
        stage.data, view.row_type, io.outputs, control_tokens=speaker.tokenizer.all_special_tokens
    )
    shown = tuple(
        shown_row(view, row, speaker.tokenizer, limit, stage.data.screening) for row in rows.train[:count]
    )
    origin = Path(io.locate(spec.path)).name
    return Preview(io.name, stage.kind, origin, limit, len(rows.train), shown)


def _limit(stage: Any, speaker: Speaker) -> int | None:
    if stage.kind == "ppo":
        return longest_prompt(stage, speaker.context)
    return limit_of(stage, getattr(trl, stage.trainer_class.removeprefix("trl.")), speaker.context)
