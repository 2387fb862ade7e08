"""Train the same model on the same rows here and through TRL's own scripts, and compare.

    ALIGN_DATA=... python scripts/bench_trainers.py                    SFT, reward model and DPO, every row
    ALIGN_DATA=... python scripts/bench_trainers.py --rows 300 --tasks sft        a quick look

Each run is a process of its own, one after the other, from the raw rows to the saved model, reference pass
included, nothing cached. All start from the same weights, the reward model's head included. TRL runs at its
defaults and at the best it offers for rows of different lengths (grouped by length, no activation
checkpointing). Held-out losses are measured afterwards, by the same code.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench_losses import held_out_loss
from bench_stage import in_child, stage_io

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

SYSTEMS = ("align", "trl", "trl_by_length")
TASKS: Mapping[str, Mapping[str, Any]] = {
    "sft": {"data": ("stanford_alpaca_5000/alpaca_5000.json.gz", "alpaca"), "learning_rate": 1e-3},
    "reward": {"data": ("hh_rlhf_harmless/harmless-base-test.jsonl.gz", "hh"), "learning_rate": 1e-4},
    "dpo": {"data": ("hh_rlhf_harmless/harmless-base-test.jsonl.gz", "hh"), "learning_rate": 1e-4},
}
BATCH_SIZE = 16
MAX_LENGTH = 512
HELD_OUT = 200
COMMON = {
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.05,
    "max_length": MAX_LENGTH,
}


def main() -> None:
    """Prepare each task, run every system on it, print one table."""
    given = arguments()
    if given.child:
        return child(given)
    data = os.environ.get("ALIGN_DATA")
    if not data:
        sys.exit("ALIGN_DATA is not set: name the folder with the real datasets")
    table = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for task in given.tasks.split(","):
            folder = Path(scratch) / task
            facts = run(given, "prepare", task, folder)
            for system in given.systems.split(","):
                found = run(given, system, task, folder)
                loss = run(given, "measure", task, folder, system)["loss"]
                table.append({"task": task, "system": system, **facts, **found, "loss": loss})
                print(json.dumps(table[-1]), flush=True)
    report(table)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--rows", type=int, help="rows (pairs) to train on; all of them by default")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the order of the rows")
    parser.add_argument(
        "--child", nargs=4, metavar=("WHAT", "TASK", "FOLDER", "SYSTEM"), help=argparse.SUPPRESS
    )
    return parser.parse_args()


def run(given: argparse.Namespace, what: str, task: str, folder: Path, system: str = "") -> dict[str, Any]:
    """Run one piece in a fresh process."""
    options: list[str] = []
    for option in ("precision", "threads", "seed", "epochs", "rows"):
        value = getattr(given, option)
        options += [] if value is None else [f"--{option}", str(value)]
    return in_child(
        *(f"{what} {task}", __file__, what, task, str(folder), system, *options),
        OMP_NUM_THREADS=str(given.threads),
        HF_DATASETS_CACHE=str(folder / "cache" / what),
    )


def child(given: argparse.Namespace) -> None:
    import torch

    from align.config.resources import resolve_precision

    torch.set_num_threads(given.threads)
    what, task, folder, system = given.child
    precision = resolve_precision(given.precision, "cpu")
    if what == "prepare":
        answer = prepare(task, Path(folder), given.rows, precision, given.seed)
    elif what == "measure":
        answer = {"loss": held_out_loss(task, Path(folder), Path(folder) / system)}
    else:
        train = with_align if what == "align" else with_trl
        answer = train(task, Path(folder), what, precision, given.seed, options_of(task, given.epochs))
        answer["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        answer |= {"precision": precision, "epochs": given.epochs}
    print(json.dumps(answer))


def options_of(task: str, epochs: int) -> dict[str, Any]:
    """What every system is told of a task, by the names that TRL has for it."""
    return {**COMMON, "learning_rate": TASKS[task]["learning_rate"], "num_train_epochs": epochs}


def prepare(task: str, folder: Path, limit: int | None, precision: str, seed: int) -> dict[str, Any]:
    """Write rows that fit, as everybody reads them, and a 7 M-parameter Llama with its tokenizer."""
    import torch

    from align.data.records import Conversation, PreferencePair, texts_of
    from align.data.source import load_rows
    from align.data.spec import DataSpec, SourceSpec
    from align.models.causal import build_policy
    from align.models.scalar import load_reward_model
    from align.models.spec import ArchitectureSpec, ModelSpec, TokenizerSpec
    from align.models.tokenizer import build_tokenizer
    from align.training.tokenise import tokenise_conversations, tokenise_pairs

    name, row_format = TASKS[task]["data"]
    source = SourceSpec(path=str(Path(os.environ["ALIGN_DATA"]) / name), format=row_format, bad_rows="drop")
    shape, tokenise = (
        (Conversation, tokenise_conversations) if task == "sft" else (PreferencePair, tokenise_pairs)
    )
    rows = load_rows(DataSpec(sources={task: source}), shape, folder).train
    tokenizer = build_tokenizer(
        TokenizerSpec(vocab_size=8192, chat_template="llama3"),
        (text for row in rows for text in texts_of(row)),
    )
    lengths = [longest(columns) for columns in tokenise(rows, tokenizer, None).dataset]
    fitting = [(row, length) for row, length in zip(rows, lengths, strict=True) if length <= MAX_LENGTH]
    held_out = min(HELD_OUT, limit or HELD_OUT)
    parts = {"test": fitting[:held_out], "train": fitting[held_out:][:limit]}
    (folder / "data").mkdir(parents=True)
    for split, part in parts.items():
        lines = [json.dumps({**raw(row), "length": length}) + "\n" for row, length in part]
        (folder / "data" / f"{split}.jsonl").write_text("".join(lines))
    torch.manual_seed(seed)
    model = build_policy(ArchitectureSpec(), tokenizer)
    for piece in (model, tokenizer):
        piece.save_pretrained(folder / "model")
    if task != "sft":  # preferences are learnt by a model that has read the chosen answers once
        run_stage("sft", folder, folder / "base", precision, seed, options_of("sft", epochs=1))
        shutil.copytree(folder / "base" / "model", folder / "model", dirs_exist_ok=True)
    if task == "reward":  # one head for all: nobody may win by a lucky draw
        model_path = str(folder / "model")
        load_reward_model(model_path, ModelSpec(path=model_path), tokenizer).save_pretrained(model_path)
    kept = tokenise([row for row, _ in parts["train"]], tokenizer, None)
    return {
        "rows": len(parts["train"]),
        "tokens": sum(kept.dataset["length"]),
        "parameters": model.num_parameters(),
    }


def longest(columns: Mapping[str, Any]) -> int:
    """Tokens of a row, of the longer one where there are two."""
    if "input_ids" in columns:
        return len(columns["input_ids"])
    return len(columns["prompt_ids"]) + max(len(columns["chosen_ids"]), len(columns["rejected_ids"]))


def raw(row: Any) -> dict[str, Any]:
    """A row in TRL's conversational format, which our `messages` and `pairs` formats read as well."""
    fields = {"prompt": row.messages[:-1], "completion": row.messages[-1:]} if hasattr(row, "messages") else {
        side: getattr(row, side) for side in ("prompt", "chosen", "rejected")
    }  # fmt: skip
    turns = {name: [turn.as_dict() for turn in messages] for name, messages in fields.items()}
    return {**turns, "messages": [*turns["prompt"], *turns.get("completion", turns.get("chosen", []))]}


def with_align(
    task: str, folder: Path, system: str, precision: str, seed: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """One stage, as the pipeline runs it."""
    import trl.trainer.dpo_trainer  # noqa: F401  (imports are outside the time, here and below)

    started = time.monotonic()
    run_stage(task, folder, folder / system, precision, seed, options)
    return {"seconds": time.monotonic() - started}


def run_stage(
    kind: str, folder: Path, output: Path, precision: str, seed: int, options: Mapping[str, Any]
) -> None:
    """Train the model of `folder` on its rows."""
    from align.data.spec import DataSpec, ScreeningSpec, SourceSpec
    from align.models.spec import ModelSpec
    from align.stages.dpo import Dpo
    from align.stages.reward import Reward
    from align.stages.sft import Sft

    stage_class, field = {"sft": (Sft, "model"), "reward": (Reward, "model"), "dpo": (Dpo, "policy")}[kind]
    row_format = "messages" if kind == "sft" else "pairs"
    file = SourceSpec(path=str(folder / "data" / "train.jsonl"), format=row_format)
    stage = stage_class(
        data=DataSpec(sources={"rows": file}, screening=ScreeningSpec(duplicates="keep")),
        precision=precision,
        batch_size=BATCH_SIZE,
        seed=seed,
        trainer=dict(options),
        **{field: ModelSpec(path=str(folder / "model"))},
    )
    stage.run(stage_io(kind, output, folder))


def with_trl(
    task: str, folder: Path, system: str, precision: str, seed: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """TRL's script of the same name, told what it is told on a command line."""
    import importlib

    import trl.trainer.dpo_trainer  # noqa: F401

    script = importlib.import_module(f"trl.scripts.{task}")
    options = {
        **options,
        "model_name_or_path": folder / "model",
        "dataset_name": folder / "data",
        "output_dir": folder / system / "model",
        "dtype": "float32",
        "use_cpu": "true",
        "bf16": str(precision == "bf16").lower(),
        "per_device_train_batch_size": BATCH_SIZE,
        "save_strategy": "no",
        "report_to": "none",
        "seed": seed,
    }
    if system == "trl_by_length":
        options |= {
            "train_sampling_strategy": "group_by_length",
            "remove_unused_columns": "false",  # the column of lengths would be removed before it is read
            "activation_checkpointing": "false",
        }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    parsed = script.make_parser().parse_args_and_config(args=words)
    started = time.monotonic()
    script.main(*parsed)
    return {"seconds": time.monotonic() - started}


def report(table: Sequence[Mapping[str, Any]]) -> None:
    """Systems side by side; speed-up is our speed over theirs, excess their loss over ours."""
    from rich.console import Console
    from rich.table import Table

    columns = ("task", "system", "unit", "per second", "seconds", "speed-up", "peak GiB", "loss", "excess")
    first = table[0]
    title = (
        f"{first['parameters'] / 1e6:.1f} M parameters, {first['precision']}, batches of {BATCH_SIZE}, "
        f"epochs: {first['epochs']}"
    )
    shown = Table(*columns, title=title)
    for row in table:
        ours = next((other for other in table if other["task"] == row["task"]), row)
        unit, amount = ("tokens", row["tokens"]) if row["task"] == "sft" else ("pairs", row["rows"])
        amount, seconds, loss = amount * row["epochs"], row["seconds"], row["loss"]
        shown.add_row(
            *(row["task"], row["system"], unit, f"{amount / seconds:.1f}", f"{seconds:.1f}"),
            *(f"{seconds / ours['seconds']:.2f}", f"{row['peak_gib']:.2f}", f"{loss:.4f}"),
            f"{loss / ours['loss'] - 1:+.1%}",
        )
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
