"""Preprocess: what the YAML may leave to us is filled in, on plain mappings, before the types are checked.

A stage that says `data: {use: pairs}` gets the corpus entry, `precision: auto` becomes a word, `limits` reach
the stages and corpora they limit, stages that nobody defined are named, `run.only` drops what it does not
need.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from align.config.problem import Problem
from align.config.resources import resolve_precision
from align.config.schema import field_hints
from align.config.spec import REFERENCE_PREFIX
from align.config.suggest import did_you_mean

Plain = dict[str, Any]


def preprocess(plain: Plain, stage_types: Mapping[str, type]) -> tuple[Plain, list[Problem]]:
    """Return the completed config and what was wrong with it; `plain` itself stays as it is.

    Args:
        plain: the composed config as plain dictionaries, interpolations resolved.
        stage_types: kind -> stage class.
    """
    plain = copy.deepcopy(plain)
    problems: list[Problem] = []
    if not isinstance(plain.get("stages"), dict):
        return plain, problems
    problems += _drop_phantoms(plain)
    problems += _keep_only(plain)
    _limit_rows(plain)
    for name, stage in _stages(plain):
        problems += _use_corpus(plain, name, stage)
        _resolve_precision(plain, stage)
        _limit_steps(plain, stage, stage_types)
    return plain, problems


def section(plain: Plain, name: str) -> Plain:
    """A root mapping, empty where it is absent or no mapping (which the types will complain about)."""
    value = plain.get(name)
    return value if isinstance(value, dict) else {}


def _stages(plain: Plain) -> Iterator[tuple[str, Plain]]:
    return ((name, stage) for name, stage in plain["stages"].items() if isinstance(stage, dict))


def _no_such_stage(name: str, known: list[str]) -> str:
    return f"no such stage in this pipeline ({', '.join(known)}){did_you_mean(name, known)}"


def _drop_phantoms(plain: Plain) -> list[Problem]:
    """A stage without `kind` was never defined: an override or an experiment misspelled its name."""
    known = [name for name, stage in _stages(plain) if "kind" in stage]
    phantoms = [name for name, stage in _stages(plain) if "kind" not in stage]
    problems = [Problem(("stages", name), _no_such_stage(name, known)) for name in phantoms]
    for name in phantoms:
        del plain["stages"][name]
    for name in set(section(plain, "resources")) - {"default", *plain["stages"]} - set(phantoms):
        problems.append(Problem(("resources", name), _no_such_stage(name, ["default", *known])))
    return problems


def _keep_only(plain: Plain) -> list[Problem]:
    """`run.only` keeps a stage, its ancestors, and the corpora and resources these use."""
    only = section(plain, "run").get("only")
    if only is None:
        return []
    if only not in plain["stages"]:
        missing = _no_such_stage(str(only), list(plain["stages"]))
        return [Problem(("stages", str(only)), f"{missing}; another pipeline=... may have it")]
    kept = ancestors(plain["stages"], only)
    if any(
        _referred(text) not in {None, *plain["stages"]}
        for name in kept
        for text in _strings(plain["stages"][name])
    ):
        return []  # a reference to nothing, perhaps: binding tells, and names all stages it may have meant
    plain["stages"] = {name: stage for name, stage in plain["stages"].items() if name in kept}
    used = {used for _, stage in _stages(plain) for value in stage.values() if (used := used_entry(value))}
    if isinstance(plain.get("corpus"), dict):
        plain["corpus"] = {name: entry for name, entry in plain["corpus"].items() if name in used}
    if isinstance(plain.get("resources"), dict):
        plain["resources"] = {
            name: entry for name, entry in plain["resources"].items() if name in {"default", *kept}
        }
    return []


def ancestors(stages: Mapping[str, Any], name: str) -> set[str]:
    """The stage and all that it may need: every stage that some string below it refers to.

    The types are not known yet, so any string counts; a stage too many is checked, none too few.
    """
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found.add(current)
        waiting += [
            parent
            for text in _strings(stages[current])
            if (parent := _referred(text)) is not None and parent in stages
        ]
    return found


def _referred(text: str) -> str | None:
    """The stage that a text names, if it is a reference."""
    return text.removeprefix(REFERENCE_PREFIX) if text.startswith(REFERENCE_PREFIX) else None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def used_entry(value: Any) -> str | None:
    """The corpus entry that a stage's field names by `{use: entry}`."""
    return str(value["use"]) if isinstance(value, dict) and "use" in value else None


def _use_corpus(plain: Plain, stage_name: str, stage: Plain) -> list[Problem]:
    problems: list[Problem] = []
    corpus = section(plain, "corpus")
    for key, value in list(stage.items()):
        if (entry := used_entry(value)) is None:
            continue
        path = ("stages", stage_name, key)
        if entry not in corpus:
            known = f"no such corpus entry {entry!r} ({', '.join(corpus)}){did_you_mean(entry, corpus)}"
            problems.append(Problem((*path, "use"), known))
        problems += [
            Problem(
                (*path, extra), f"this data is the corpus entry {entry}; set corpus.{entry}.{extra} instead"
            )
            for extra in value
            if extra != "use"
        ]
        if entry in corpus:
            stage[key] = copy.deepcopy(corpus[entry])
        else:
            del stage[key]
    return problems


def _resolve_precision(plain: Plain, stage: Plain) -> None:
    if stage.get("precision") == "auto":
        hardware = section(plain, "hardware")
        stage["precision"] = resolve_precision(
            hardware.get("precision", "auto"), hardware.get("accelerator", "cpu")
        )


def _limit_steps(plain: Plain, stage: Plain, stage_types: Mapping[str, type]) -> None:
    steps = section(plain, "limits").get("steps")
    cls = stage_types.get(str(stage["kind"]))
    if steps is not None and cls is not None and "trainer" in field_hints(cls):
        stage["trainer"] = {**(stage.get("trainer") or {}), "max_steps": steps}


def _limit_rows(plain: Plain) -> None:
    rows = section(plain, "limits").get("rows")
    inline = [stage.get("data") for _, stage in _stages(plain)]
    for entry in [*section(plain, "corpus").values(), *inline]:
        if isinstance(rows, int) and isinstance(entry, dict) and "use" not in entry:
            own = entry.get("max_rows")
            entry["max_rows"] = min(own, rows) if isinstance(own, int) else rows
