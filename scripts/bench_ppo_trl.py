"""TRL's side of the PPO benchmark: an environment with its last PPOTrainer, and what each update took there.

python scripts/bench_ppo.py --systems trl
"""

import gc
import json
import os
import subprocess
import sysconfig
import time
import venv
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

TRL_VERSION = "1.10.0"


def trl_python(folder: Path) -> str:
    """The interpreter of an environment with TRL's PPO; all other packages are those installed here."""
    python = str(folder / "bin" / "python")
    is_there = f"import trl.experimental.ppo; trl.__version__ == '{TRL_VERSION}' or 1 / 0"
    if not Path(python).exists() or subprocess.run([python, "-c", is_there], capture_output=True).returncode:
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--no-deps", f"trl=={TRL_VERSION}"], check=True)
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        (packages / "installed_here.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def with_trl(job: dict[str, Any]) -> dict[str, Any]:
    """Train as the job says; `epochs`, `minibatches` and `learning_rate` are those of both systems."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    folder, rows, is_bf16 = Path(job["folder"]), job["micro_rows"], job["precision"] == "bf16"
    os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16" if is_bf16 else "no"  # as `accelerate launch` does
    settings = PPOConfig(
        **{"output_dir": str(folder / "trl"), "report_to": "none", "save_strategy": "no"},
        **{"use_cpu": True, "bf16": is_bf16, "gradient_checkpointing": False, "num_sample_generations": 0},
        **{
            "learning_rate": job["learning_rate"],
            "num_ppo_epochs": job["epochs"],
            "num_mini_batches": job["minibatches"],
        },
        **{"response_length": job["response_length"], "stop_token": "eos", "temperature": 1.0, "seed": 0},
        **{"per_device_train_batch_size": rows, "gradient_accumulation_steps": job["rollouts"] // rows},
        **{"local_rollout_forward_batch_size": job["rollout_rows"], "disable_tqdm": True},
        total_episodes=job["rollouts"] * (job["updates"] + 1),
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "policy", padding_side="left")
    policy = AutoModelForCausalLM.from_pretrained(folder / "policy", dtype="float32")
    load = AutoModelForSequenceClassification.from_pretrained
    reward, value = (load(folder / "reward", dtype="float32") for _ in range(2))
    # At the last batch of a pass accelerate steps after every micro-batch: that batch is never reached.
    prompts = Dataset.from_dict({"input_ids": json.loads((folder / "ids.json").read_text())})
    trainer = PPOTrainer(settings, tokenizer, policy, None, reward, prompts, value)
    trainer.accelerator.gradient_accumulation_steps = job["rollouts"] // job["minibatches"] // rows
    return {"rows": watched(trainer)}


def watched(trainer: Any) -> list[dict[str, float]]:
    """Train, with TRL's functions timed from outside: what every update took."""
    from transformers import TrainerCallback
    from trl.experimental.ppo import ppo_trainer

    generate, get_reward = ppo_trainer.batch_generation, ppo_trainer.get_reward
    updates: list[dict[str, float]] = []
    now: dict[str, float] = defaultdict(float)

    def timed(phase: str, function: Any, *given: Any) -> Any:
        started = time.perf_counter()
        found = function(*given)
        now["collected"] = time.perf_counter()
        now[phase] += now["collected"] - started
        return found

    def timed_generate(model: Any, queries: Any, *rest: Any) -> Any:
        found = timed("generate", generate, model, queries, *rest)
        now["generated"], now["garbage"] = now["collected"], 0.0
        said = found[0][:, queries.shape[1] :] != trainer.processing_class.pad_token_id
        now["response_tokens"] = float(said.int().cumprod(dim=1).sum()) / len(queries)
        return found

    def timed_reward(model: Any, *rest: Any) -> Any:
        return timed("score" if model is trainer.reward_model else "value", get_reward, model, *rest)

    class Watch(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ended, collected = time.perf_counter(), now["collected"]
            now["read"] = collected - now["generated"] - now["score"] - now["garbage"]
            updates.append({**now, "learn": ended - collected, "ended": ended})
            now.clear()

    # Two full garbage collections per update count as `other`, not as what they stand between.
    ppo_trainer.gc = SimpleNamespace(collect=lambda: timed("garbage", gc.collect))
    ppo_trainer.batch_generation, ppo_trainer.get_reward = timed_generate, timed_reward
    trainer.add_callback(Watch)
    trainer.train()
    return updates
