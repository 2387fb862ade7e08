"""Run the same PPO here and through TRL's last PPOTrainer, one after the other, and compare.

    python scripts/bench_ppo.py --precision both            fp32 and bf16, here and through TRL
    python scripts/bench_ppo.py --systems align --quick     few completions, one update

Each run is a process of its own; its first update warms up and is not counted. The policy is a Llama of
random weights whose answers end by chance, with a learning rate so small that it stays one: all say as much.
The reward is a reward model's scalar. TRL comes from an environment that the script builds on top of the
packages installed here. It runs at the best of a few batch sizes, and is made to take one optimizer step per
minibatch, as we do: left alone it takes one per epoch (huggingface/trl#5645). FLOPs are those of real tokens,
in every pass that is made.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_ppo_trl import trl_python, with_trl
from bench_stage import in_child, stage_io

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

Job = dict[str, Any]
MODEL = {"hidden_size": 128, "layers": 4, "heads": 4, "intermediate_size": 352}
FULL: Job = {"rollouts": 128, "response_length": 32, "updates": 10, "batch_sizes": [8, 32, 64]}
QUICK: Job = {"rollouts": 8, "response_length": 16, "updates": 1, "batch_sizes": [4]}
PHASES = ("generate", "score", "read", "learn")
LEARNING: Job = {"epochs": 2, "minibatches": 2, "learning_rate": 1e-9}
TRIAL_UPDATES = 2  # of each batch size that TRL may choose from
ENDING = 1.4  # weight of the end of a turn against any other token: answers have 17 of 32 tokens on average


def main() -> None:
    """Write the models and the prompts, run every system on them, print one table."""
    given = arguments()
    if given.child:
        return child(json.loads(given.child))
    job = {**(QUICK if given.quick else FULL), "threads": given.threads, **LEARNING}
    job["updates"] = given.updates or job["updates"]
    theirs = trl_python(Path(given.environment).expanduser()) if "trl" in given.systems else ""
    table = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        job |= {"folder": scratch, **run({**job, "what": "prepare", "folder": scratch})}
        for precision in ("fp32", "bf16") if given.precision == "both" else (given.precision,):
            jobs = []
            for system in given.systems.split(","):
                asked = {**job, "what": system, "precision": precision}
                asked["python"] = theirs if system == "trl" else sys.executable
                jobs.append(asked | (best_batch_sizes(asked) if system == "trl" else {}))
            table += [median(runs) for runs in zip(*(in_turn(jobs) for _ in range(given.runs)), strict=True)]
    report(table, job)


def in_turn(jobs: list[Job]) -> list[Job]:
    """One run of every system, one after the other."""
    found = []
    for job in jobs:
        found.append(measured(job, run(job)))
        print(json.dumps(found[-1]), flush=True)
    return found


def median(runs: Sequence[Job]) -> Job:
    """The run that took neither long nor short, and how long each took."""
    inner = sorted(runs, key=lambda row: row["seconds"])[len(runs) // 2]
    return {**inner, "seconds_of_runs": " ".join(f"{row['seconds']:.2f}" for row in runs)}


def arguments() -> argparse.Namespace:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--systems", default="align,trl")
    parser.add_argument("--updates", type=int, help="updates that count; 10 by default")
    parser.add_argument("--runs", type=int, default=3, help="of every system, in turn; the median is told")
    parser.add_argument("--precision", choices=("fp32", "bf16", "both"), default="fp32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--environment", default="~/.cache/align-bench/trl-1.10", help="where TRL lies")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and one update")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def run(job: Job) -> Job:
    """Run one piece in a fresh process."""
    python, threads = job.get("python", sys.executable), str(job["threads"])
    return in_child(job["what"], __file__, json.dumps(job), python=python, OMP_NUM_THREADS=threads)


def child(job: Job) -> None:
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    torch.set_num_threads(job["threads"])
    steps: Counter[int] = Counter()
    register_optimizer_step_post_hook(lambda optimizer, *_: steps.update([id(optimizer)]))
    answer = {"prepare": prepare, "align": with_align, "trl": with_trl}[job["what"]](job)
    answer["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    answer["steps"] = max(steps.values(), default=0) / (job["updates"] + 1)
    print("\n" + json.dumps(answer))


def prepare(job: Job) -> Job:
    """Write policy/, reward/ and the prompts, as text and as token ids; say how fast matrices multiply."""
    import torch
    from torch.utils.benchmark import Timer

    from align.models.causal import build_policy
    from align.models.rendering import render_prompt
    from align.models.scalar import load_reward_model
    from align.models.spec import ArchitectureSpec, ModelSpec, TokenizerSpec
    from align.models.tokenizer import build_tokenizer

    folder = Path(job["folder"])
    wanted = job["rollouts"] * (max(job["updates"], TRIAL_UPDATES) + 2)  # one batch is left over
    draw = random.Random(0)
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 3))) for _ in range(400)]
    texts = [" ".join(draw.choices(words, k=draw.randint(1, 36))) for _ in range(2 * wanted + 1000)]
    dialogues = [f"User: {text}\nAssistant:" for text in texts]
    tokenizer = build_tokenizer(TokenizerSpec(vocab_size=768), dialogues)
    torch.manual_seed(0)
    policy = build_policy(ArchitectureSpec(**MODEL), tokenizer)
    said = [tokenizer.decode(token, skip_special_tokens=True) for token in range(len(tokenizer))]
    # Control tokens and bytes that are no text alone are never said: input and output embeddings are tied.
    signs = [1.0 if text and "\ufffd" not in text else -1.0 for text in said]
    signs[tokenizer.eos_token_id] = ENDING
    policy.get_input_embeddings().weight.data[:, 0] = torch.tensor(signs)
    path = str(folder / "policy")
    policy.save_pretrained(path)
    load_reward_model(path, ModelSpec(path=path), tokenizer).save_pretrained(folder / "reward")
    for name in ("policy", "reward"):
        tokenizer.save_pretrained(folder / name)
    rendered = [render_prompt(tokenizer, [{"role": "user", "content": text}]) for text in texts]
    ids = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    kept = [row for row in range(len(ids)) if 8 <= len(ids[row]) <= 40][:wanted]
    assert len(kept) == wanted, f"{len(kept)} of {wanted} prompts"
    (folder / "prompts.jsonl").write_text("\n".join(json.dumps({"prompt": texts[row]}) for row in kept))
    (folder / "ids.json").write_text(json.dumps([ids[row] for row in kept]))
    rates = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        timer = Timer("a @ a", globals={"a": torch.randn(1024, 1024).to(dtype)}, num_threads=job["threads"])
        rates[name] = round(2 * 1.024**3 / timer.blocked_autorange(min_run_time=1).median)
    tokens = sum(len(ids[row]) for row in kept) / wanted
    return {"parameters": policy.num_parameters(), "prompt_tokens": tokens, "rates": rates}


def with_align(job: Job) -> Job:
    """One stage, as the pipeline runs it; what it logs tells the time of every update."""
    from pydantic import TypeAdapter

    from align.artifacts.metrics import read_metrics
    from align.stages.ppo import Ppo

    folder, precision, reward = Path(job["folder"]), job["precision"], f"{job['folder']}/reward"
    source = {"_target_": "align.rewards.learned.LearnedReward", "model": reward, "precision": precision}
    prompts = {"path": str(folder / "prompts.jsonl"), "format": "prompts"}
    given = {
        **{"policy": {"path": str(folder / "policy")}, "value": {"path": reward}},
        **{"rewards": {"model": {"source": source}}, "shaping": {"missing_eos": {"mode": "none"}}},
        **{"data": {"sources": {"prompts": prompts}, "screening": {"duplicates": "keep"}}},
        **{"precision": precision, "seed": 0, "batch_size": job["rollouts"], "updates": job["updates"] + 1},
        **{name: job[name] for name in ("epochs", "minibatches")},
        **{"decoding": {"temperature": 1, "max_new_tokens": job["response_length"]}},
        **{f"{name}_optimizer": {"learning_rate": job["learning_rate"]} for name in ("policy", "value")},
    }
    io = stage_io("ppo", folder / precision, folder)
    TypeAdapter(Ppo).validate_python(given).run(io)
    rows = [row for row in read_metrics(io.output.metrics) if row["split"] == "train"]
    names = {name: f"time/{name}" for name in PHASES} | {"ended": "time", "response_tokens": "rollout/length"}
    return {"rows": [{name: row[key] for name, key in names.items()} for row in rows]}


def best_batch_sizes(job: Job) -> Job:
    """Which batch sizes TRL runs best at: the micro-batch decides how fast it learns, the other the rest."""
    trials = {}
    for rows in job["batch_sizes"]:
        asked = {**job, "rollout_rows": rows, "micro_rows": rows, "updates": TRIAL_UPDATES}
        found = measured(asked, run(asked))
        trials[rows] = {"rollout_rows": found["seconds"] - found["learn"], "micro_rows": found["learn"]}
        print(json.dumps({"trial": rows, "precision": job["precision"], **trials[rows]}), flush=True)
    return {name: min(trials, key=lambda rows: trials[rows][name]) for name in ("rollout_rows", "micro_rows")}


def measured(job: Job, found: Job) -> Job:
    """What is told of a run: seconds per update, the warm-up left out; share of the machine's rate."""
    first, *rows = found["rows"]
    seconds = (rows[-1]["ended"] - first["ended"]) / len(rows)
    means = {name: sum(row[name] for row in rows) / len(rows) for name in ("response_tokens", *PHASES)}
    means["other"] = seconds - sum(means[name] for name in PHASES)
    # Sampling, reference, reward, values; in bf16 ours reads the policy again, in fp32 eight rows of it.
    forward = 5 if job["what"] == "align" and job["precision"] == "bf16" else 4
    samples = job["rollouts"] / seconds
    tokens = samples * (job["prompt_tokens"] + means["response_tokens"])
    gflops = tokens * job["parameters"] * (2 * forward + 2 * 6 * job["epochs"]) / 1e9
    return {
        **{"system": job["what"], "precision": job["precision"], "samples_per_second": samples},
        **{"seconds": seconds, **means, "peak_gib": found["peak_gib"], "steps": found["steps"]},
        **{"gflop_per_second": gflops, "share_of_matmul_rate": gflops / job["rates"][job["precision"]]},
        **{name: job.get(name, "by tokens") for name in ("rollout_rows", "micro_rows")},
    }


def report(table: list[Job], job: Job) -> None:
    """Systems side by side; seconds, phases and optimizer steps are per update."""
    from rich.console import Console
    from rich.table import Table

    shown = Table("", *(f"{row['system']} {row['precision']}" for row in table))
    for name in list(table[0])[2:]:
        values = [f"{row[name]:.3f}" if isinstance(row[name], float) else str(row[name]) for row in table]
        shown.add_row(name.replace("_", " "), *values)
    model = f"{job['parameters'] / 1e6:.2f} M parameters, {job['prompt_tokens']:.1f} prompt tokens"
    batch = f"{job['rollouts']} completions per update, {job['updates']} updates, {job['threads']} threads"
    Console(width=120).print(model, batch, f"matmul GFLOP/s: {job['rates']}", shown, sep="\n")


if __name__ == "__main__":
    main()
