"""Universal: a checkpoint that DeepSpeed's processes wrote in shares -> one that any number of them can read.

Source  Lian et al. 2024, "Universal Checkpointing", arXiv:2406.18820
"""

import os
import re
import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch

from align.config.problem import ConfigError, Problem
from align.runtime import group
from align.runtime.processes import rank

LATEST = "latest_universal"  # the file that DeepSpeed writes beside what it converted
PREFIX = "universal"  # not `checkpoint-`: it is no checkpoint to resume from by itself
_SHARES = re.compile(r"(?:bf16_)?zero_pp_rank_\d+_mp_rank_\d+_optim_states\.pt")
_PARTS = ("fp32.pt", "exp_avg.pt", "exp_avg_sq.pt")
_MODEL = "mp_rank_00_model_states.pt"


def convert(checkpoint: Path) -> Path:
    """Convert the engines in a checkpoint, on the first process; the others wait.

    The folder beside it holds links to everything else. What an earlier run left there is replaced.

    Raises:
        ConfigError: DeepSpeed converts Adam's states and no other optimiser's.
    """
    target = checkpoint.with_name(f"{PREFIX}-{checkpoint.name.rpartition('-')[2]}")
    if rank() == 0:
        for old in checkpoint.parent.glob(f"{PREFIX}-*"):
            shutil.rmtree(old)
        engines = {path.parent for path in checkpoint.rglob("*.pt") if _SHARES.fullmatch(path.name)}
        for path in sorted(checkpoint.rglob("*")):
            place = target / path.relative_to(checkpoint)
            if path.is_file() and path.parent not in engines:
                place.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, place)
        for engine in sorted(engines):
            _convert_engine(engine, target / engine.relative_to(checkpoint))
    group.wait()
    return target


def _convert_engine(source: Path, target: Path) -> None:
    from deepspeed.checkpoint.ds_to_universal import main  # noqa: PLC0415  (1.3 s that only ZeRO needs)

    target.mkdir(parents=True)
    settings = Namespace(
        input_folder=str(source),
        output_folder=str(target),
        num_extract_workers=1,
        num_merge_workers=1,
        keep_temp_folder=False,
        strict=True,
        inject_missing_state=True,
    )
    try:
        main(settings)
    except KeyError as missing:
        told = f"{source.parent.name} cannot be converted: its optimiser has no {missing}, it is not Adam"
        raise ConfigError([Problem((), told)]) from missing
    _suit_every_stage(target)


def _suit_every_stage(target: Path) -> None:
    """Let every stage read what any stage wrote, which DeepSpeed 0.19 leaves out.

    Stage 3 looks for what is no tensor under another name than the others, and for the number of steps in
    the common state; the others look for it beside every weight, for weights under a name, and for a
    version in the common state.
    """
    written = sorted(target.glob("*_model_states.pt"))
    for name in (_MODEL, f"zero_pp_rank_0_{_MODEL}"):
        if not (target / name).exists():
            os.link(written[0], target / name)
    file = target / "zero" / "optimizer_state.pt"
    state = torch.load(file, weights_only=False, map_location="cpu")
    trained = [path.parent for path in (target / "zero").rglob("exp_avg.pt")]
    if "optimizer_state_dict" in state:
        step = state["optimizer_state_dict"]["state"][0]["step"]
        for folder in trained:
            for part in _PARTS:
                values = torch.load(folder / part, weights_only=False, map_location="cpu")
                torch.save({"param": values}, folder / part)
            torch.save(step, folder / "step.pt")
        version = torch.load(written[0], weights_only=False, map_location="cpu")["ds_version"]
        torch.save({**state, "ds_version": version}, file)
    else:
        step = torch.load(trained[0] / "step.pt", weights_only=False)
        state["optimizer_state_dict"] = {"state": {0: {"step": step}}, "param_groups": state["param_groups"]}
        torch.save(state, file)


def load_universal(engine: Any, folder: Path, tag: str | None = None) -> None:
    """Have an engine read what `convert` wrote.

    Stage 3 then gives every parameter group the settings of the first one, weight decay among them: they
    are put back, but for the learning rate, which follows from where training stands. And it has all
    groups count their steps in one tensor, which each of them would count up.
    """
    kept = [
        {name: value for name, value in entry.items() if name not in ("params", "lr")}
        for entry in engine.optimizer.param_groups
    ]
    engine._config.load_universal_checkpoint = True
    try:
        engine.load_checkpoint(str(folder), tag=tag)
    finally:
        engine._config.load_universal_checkpoint = False
    for entry, settings in zip(engine.optimizer.param_groups, kept, strict=True):
        entry.update(settings)
    for state in engine.optimizer.optimizer.state.values():
        if isinstance(state.get("step"), torch.Tensor):
            state["step"] = state["step"].clone()
