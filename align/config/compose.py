"""Compose: the door between Hydra and everything else: a DictConfig -> a typed and frozen run.

Importing this module registers the Hydra node `schema/open_stages`.
"""

import re
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from align.config.explain import explain
from align.config.groups import choose_parallel
from align.config.plain import stages_of, uses
from align.config.preprocess import preprocess
from align.config.problem import ConfigError, Problem
from align.config.schema import stage_types
from align.config.secret import masked

__all__ = ["ConfigError", "as_yaml", "bind", "compose_source"]

T = TypeVar("T")

# Sections in which any key can be set without Hydra's "+", because bind knows better what may stand there.
OPEN_SECTIONS = (
    "run", "checkpoints", "logging", "resources", "limits", "model", "corpus", "hardware", "parallel",
    "launcher", "tracking", "stages",
)  # fmt: skip


def _open_stages() -> DictConfig:
    node = OmegaConf.create({name: {} for name in OPEN_SECTIONS})
    for name in OPEN_SECTIONS:
        opened = node._get_node(name)
        assert isinstance(opened, DictConfig)
        opened._set_flag("struct", False)
    return node


ConfigStore.instance().store(group="schema", name="open_stages", node=_open_stages(), package="_global_")


def bind(cfg: DictConfig, root: type[T], *, only: str | None = None) -> T:
    """Turn a composed config into a typed, frozen description; `cfg` itself is never changed.

    Args:
        cfg: what Hydra composed.
        root: the dataclass that describes a whole run.
        only: takes the place of `run.only`: bind this stage and its ancestors.

    Raises:
        ConfigError: lists every problem with its dotted path.
    """
    problems: list[Problem] = []
    plain = _plain(cfg, (), problems)
    if only is not None and isinstance(plain.get("run"), dict):
        plain["run"]["only"] = only
    problems += choose_parallel(plain.get("resources"))
    completed, more = preprocess(plain, stage_types(root))
    problems = [problem for problem in problems if _is_kept(problem.path, plain, completed)] + more
    try:
        bound = TypeAdapter(root).validate_python(completed)
    except ValidationError as failure:
        found = [_at_its_source(problem, plain) for problem in explain(failure, root)]
        problems += [problem for problem in found if not _is_told(problem, problems)]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return bound


def compose_source(name: str, conf: Path, data: Path, kind: type[T]) -> T:
    """One dataset of `conf/data` by itself, typed; `data` is the folder that local ones lie in.

    Raises:
        ConfigError: there is no such configuration, or it does not fit.
    """
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            composed = compose(f"data/{name}", overrides=["+seed=0", f"+paths.data='{data}'"])
        found = OmegaConf.to_container(composed, resolve=True)
        assert isinstance(found, dict)
        return TypeAdapter(kind).validate_python(found["data"])
    except (HydraException, OmegaConfBaseException) as cause:
        known = ", ".join(sorted(path.stem for path in (conf / "data").glob("*.yaml")))
        raise ConfigError([Problem((), f"no dataset {name!r} in {conf / 'data'} ({known})")]) from cause


def as_yaml(cfg: DictConfig) -> str:
    """The config as composed, interpolations unresolved, secrets masked."""
    return OmegaConf.to_yaml(OmegaConf.create(masked(OmegaConf.to_container(cfg, resolve=False))))


def _plain(node: Any, path: tuple[str, ...], problems: list[Problem]) -> Any:
    """Plain containers with interpolations resolved; what cannot be resolved is left out and listed."""
    if isinstance(node, ListConfig):
        return [_plain(node[index], (*path, str(index)), problems) for index in range(len(node))]
    if not isinstance(node, DictConfig):
        return node
    plain = {}
    for key in node:
        here = (*path, str(key))
        try:
            if OmegaConf.is_missing(node, key):
                problems.append(Problem(here, "required, but not set (its value is ???)"))
            else:
                plain[str(key)] = _plain(node[key], here, problems)
        except OmegaConfBaseException as cause:
            problems.append(Problem(here, _reason(cause)))
    return plain


def _reason(cause: OmegaConfBaseException) -> str:
    """The first line, without what wraps a resolver's own words (`oc.env` about an unset variable)."""
    first = str(cause).splitlines()[0]
    return re.sub(r"^\w+ raised while resolving interpolation: ", "", first).strip('"')


def _is_kept(path: tuple[str, ...], plain: dict[str, Any], completed: dict[str, Any]) -> bool:
    """Whether a place is still part of the config once `run.only` dropped what it does not need."""
    for part in path:
        if not isinstance(plain, dict) or part not in plain:
            return True
        if not isinstance(completed, dict) or part not in completed:
            return False
        plain, completed = plain[part], completed[part]
    return True


def _at_its_source(problem: Problem, plain: dict[str, Any]) -> Problem:
    """What is wrong with data that a stage uses is wrong in the corpus, and told once for all users."""
    for name, stage in stages_of(plain):
        for use in uses(stage):
            path = ("stages", name, *use.path)
            if problem.path[: len(path)] == path and problem.path != path:
                return Problem(("corpus", use.entry, *problem.path[len(path) :]), problem.message)
    return problem


def _is_told(problem: Problem, earlier: list[Problem]) -> bool:
    """Whether a problem follows from an earlier one: a value that was not resolved is not missing, too."""
    depth = len(problem.path)
    return depth > 0 and any(other.path[:depth] == problem.path for other in earlier)
