"""Time an evaluation, imports left out: base, SFT, DPO and PPO of a quickstart on its held-out facts.

    python scripts/pipeline.py experiment=quickstart
    python scripts/bench_evaluate.py outputs/runs/quickstart-0001

Every answer is generated anew and scored by the gold score, with win rates, intervals and a leaderboard.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from bench_stage import in_child, stage_io

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

CHAIN = {"base": "pretrain", "sft": "sft", "dpo": "dpo", "ppo": "ppo"}
GOLD = {"_target_": "align.rewards.rules.SandboxGold"}
COMPARED = {"sft": "base", "dpo": "sft", "ppo": ["sft", "dpo"]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="the folder of a finished quickstart")
    parser.add_argument("--runs", type=int, default=3, help="the median is told")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(Path(given.run).resolve())
    found = [
        in_child("evaluation", __file__, given.run, OMP_NUM_THREADS=str(given.threads))
        for _ in range(given.runs)
    ]
    inner = sorted(found, key=lambda one: one["seconds"])[len(found) // 2]
    sys.stdout.write(json.dumps({**inner, "runs": [one["seconds"] for one in found]}) + "\n")


def child(run: Path) -> None:
    """Evaluate once; the prompts are those that the quickstart generated, the completions are not kept."""
    from pydantic import TypeAdapter

    from align.artifacts.store import ArtifactDir
    from align.evaluation import answering, judging, measure, record, tax  # noqa: F401  (imports do not count)
    from align.stages.evaluate import Evaluate

    prompts = next((run / "../../datasets").resolve().glob("*/held_out.jsonl"))
    given = {
        "checkpoints": {name: {"path": f"{run}/{stage}/model"} for name, stage in CHAIN.items()},
        "suites": {"held_out": {"source": {"path": str(prompts), "format": "prompts"}}},
        "rewards": {"gold": GOLD},
        "judges": {"gold": {"source": {"_target_": "align.judges.scored.Scored", "reward": GOLD}}},
        "decoding": {"temperature": 1, "max_new_tokens": 48},
        "compare": COMPARED,
        "precision": "fp32",
        "seed": 0,
    }
    stage = TypeAdapter(Evaluate).validate_python(given)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        io = stage_io("evaluate", Path(scratch) / "evaluate", Path(scratch))
        started, spent = time.perf_counter(), cpu_seconds()
        stage.run(io)
        seconds, cpu = time.perf_counter() - started, cpu_seconds() - spent
        rows = json.loads(ArtifactDir(Path(scratch) / "evaluate").evaluation.read_text())["rows"]
    gold = {row["checkpoint"]: row["value"] for row in rows if row["metric"] == "gold"}
    told = {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "prompts": rows[0]["n"], "gold": gold}
    sys.stdout.write("\n" + json.dumps(told) + "\n")


def cpu_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    main()
