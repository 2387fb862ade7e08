"""Preprocess: what the YAML may leave to us is filled in, on plain mappings, before the types are checked.

Stages that nobody defined are named, `run.only` drops what it does not need, `{use: pairs}` becomes the
corpus entry, `precision: auto` becomes a word, and `limits` reach the stages and datasets they limit.
"""

import copy
from collections.abc import Mapping
from typing import get_args

from align.config.plain import Plain, mappings, section, stages_of, uses
from align.config.problem import Problem
from align.config.resources import Precision, resolve_precision
from align.config.schema import field_names
from align.config.selection import drop_phantoms, keep_only
from align.config.suggest import did_you_mean


def preprocess(plain: Plain, stage_types: Mapping[str, type]) -> tuple[Plain, list[Problem]]:
    """Return the completed config and what was wrong with it; `plain` itself stays as it is.

    Args:
        plain: the composed config as plain dictionaries, interpolations resolved.
        stage_types: kind -> stage class.
    """
    plain = copy.deepcopy(plain)
    if not isinstance(plain.get("stages"), dict):
        return plain, []
    problems = [*drop_phantoms(plain), *keep_only(plain)]
    _limit_rows(plain)
    for name, stage in stages_of(plain):
        problems += _use_corpus(plain, name, stage)
        _resolve_precision(plain, stage)
        _limit_steps(plain, stage, stage_types)
    return plain, problems


def _use_corpus(plain: Plain, name: str, stage: Plain) -> list[Problem]:
    corpus = section(plain, "corpus")
    problems = []
    for use in uses(stage):
        path = ("stages", name, *use.path)
        for extra in use.extras:
            instead = f"this data is the corpus entry {use.entry}; set corpus.{use.entry}.{extra} instead"
            problems.append(Problem((*path, extra), instead))
        if use.entry in corpus:
            use.holder[use.path[-1]] = copy.deepcopy(corpus[use.entry])
        else:
            del use.holder[use.path[-1]]
            known = f"no such corpus entry {use.entry!r} ({', '.join(corpus)})"
            problems.append(Problem((*path, "use"), f"{known}{did_you_mean(use.entry, corpus)}"))
    return problems


def _resolve_precision(plain: Plain, stage: Plain) -> None:
    if stage.get("precision") == "auto":
        hardware = section(plain, "hardware")
        chosen = str(hardware.get("precision"))
        known = chosen if chosen in get_args(Precision) else "auto"
        stage["precision"] = resolve_precision(known, hardware.get("accelerator", "cpu"))


def _limit_steps(plain: Plain, stage: Plain, stage_types: Mapping[str, type]) -> None:
    steps = section(plain, "limits").get("steps")
    fields = field_names(stage_types.get(str(stage["kind"])))
    if isinstance(steps, int) and "trainer" in fields:
        stage["trainer"] = {**section(stage, "trainer"), "max_steps": steps}
    elif isinstance(steps, int) and "updates" in fields:
        stage["updates"] = steps


def _limit_rows(plain: Plain) -> None:
    """Every dataset, in the corpus or in place, and every suite of prompts gets at most so many rows.

    Plain text is left whole: it is cut into blocks, so its rows are no examples and few make no block.
    """
    rows = section(plain, "limits").get("rows")
    if not isinstance(rows, int):
        return
    suites = [suite for _, stage in stages_of(plain) for suite in section(stage, "suites").values()]
    for suite in suites:
        _limit(suite, "max_prompts", rows)
    for data in mappings([plain.get("corpus"), plain["stages"]]):
        is_suite = any(data is suite for suite in suites)  # its `sources` are limited as a whole
        if "sources" in data and not is_suite and not _is_plain_text(data["sources"]):
            _limit(data, "max_rows", rows)


def _is_plain_text(sources: object) -> bool:
    return isinstance(sources, dict) and all(
        isinstance(source, dict) and source.get("format") == "text" for source in sources.values()
    )


def _limit(holder: object, key: str, bound: int) -> None:
    if isinstance(holder, dict):
        own = holder.get(key)
        holder[key] = min(own, bound) if isinstance(own, int) else bound
