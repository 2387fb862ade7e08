"""Selection: the stages a run is about: those somebody defined; with `run.only` one and its ancestors."""

from collections.abc import Mapping
from typing import Any

from align.config.plain import Plain, section, stages_of, texts, uses
from align.config.problem import Problem
from align.config.spec import REFERENCE_PREFIX
from align.config.suggest import did_you_mean

# A corpus brings what its data is evaluated with; a pipeline need not have an evaluation.
BROUGHT_BY_A_CORPUS = {"suites", "rewards", "judges"}


def drop_phantoms(plain: Plain) -> list[Problem]:
    """Drop stages without `kind`: nobody defined them, an override or an experiment misspelled the name."""
    known = [name for name, stage in stages_of(plain) if "kind" in stage]
    phantoms = [name for name, stage in stages_of(plain) if "kind" not in stage]
    misspelled = [name for name in phantoms if not set(plain["stages"][name]) <= BROUGHT_BY_A_CORPUS]
    problems = [Problem(("stages", name), _no_such_stage(name, known)) for name in misspelled]
    for name in phantoms:
        del plain["stages"][name]
    for name in section(plain, "resources"):
        if name not in ("default", *plain["stages"], *phantoms):
            problems.append(Problem(("resources", name), _no_such_stage(name, ["default", *known])))
    return problems


def keep_only(plain: Plain) -> list[Problem]:
    """With `run.only`, drop what the one stage does not need: other stages, their corpora and resources."""
    only = section(plain, "run").get("only")
    if only is None:
        return []
    stages = plain["stages"]
    if only not in stages:
        missing = _no_such_stage(str(only), list(stages))
        return [Problem(("stages", str(only)), f"{missing}; another pipeline=... may have it")]
    kept = ancestors(stages, only)
    if any(reference not in stages for name in kept for reference in _references(stages[name])):
        return []  # a reference to nothing, perhaps: binding tells, and names all stages it may have meant
    used = {use.entry for name, stage in stages_of(plain) if name in kept for use in uses(stage)}
    for key, needed in (("stages", kept), ("corpus", used), ("resources", {"default", *kept})):
        if section(plain, key):
            plain[key] = {name: entry for name, entry in section(plain, key).items() if name in needed}
    return []


def ancestors(stages: Mapping[str, Any], name: str) -> set[str]:
    """The stage and all that it may need: every stage that some text below it refers to.

    The types are not known yet, so any text counts; a stage too many is checked, none too few.
    """
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += [parent for parent in _references(stages[current]) if parent in stages]
    return found


def _references(stage: Any) -> list[str]:
    return [text.removeprefix(REFERENCE_PREFIX) for text in texts(stage) if text.startswith(REFERENCE_PREFIX)]


def _no_such_stage(name: str, known: list[str]) -> str:
    return f"no such stage in this pipeline ({', '.join(known)}){did_you_mean(name, known)}"
