"""Peak memory of PPO with adapters over one shared base, beside SFT with an adapter on the same base.

    python scripts/bench_memory.py            GPT-2 with a vocabulary of 32,000, median of three runs each
    python scripts/bench_memory.py --quick    a tiny model, one run each

Each run is a process of its own. What counts is resident memory above what the process had before it loaded
a model: weights, activations, gradients, optimiser. Policy, value model, reward model and reference of PPO
are adapters and heads over one base; rows have 128 tokens of prompt and 128 of completion, four at a time.
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench_stage import in_child, stage_io

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

Job = dict[str, Any]
FULL: Job = {"embedding": 768, "layers": 12, "heads": 12, "vocabulary": 32_000, "half": 128, "runs": 3}
QUICK: Job = {"embedding": 32, "layers": 2, "heads": 2, "vocabulary": 400, "half": 16, "runs": 1}
ADAPTER = {"rank": 16, "alpha": 32}
ROWS, MICRO_BATCH, STEPS = 16, 4, 2
BAR = 1.3


def main() -> None:
    """Write the models and the rows, run every system, print the peaks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes and one run")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(json.loads(given.child))
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        job = {**(QUICK if given.quick else FULL), "folder": scratch}
        print(f"{run({**job, 'what': 'prepare'})['parameters'] / 1e6:.0f} M parameters", flush=True)
        medians = {}
        for what in ("sft", "ppo"):
            runs = [run({**job, "what": what, "run": number})["mib"] for number in range(job["runs"])]
            medians[what] = statistics.median(runs)
            print(
                f"{what}: {medians[what]:.0f} MiB (runs: {', '.join(f'{run:.0f}' for run in runs)})",
                flush=True,
            )
    print(f"PPO takes {medians['ppo'] / medians['sft']:.2f} x the memory of SFT; at most {BAR} is wanted")


def run(job: Job) -> Job:
    """Run one piece in a fresh process."""
    return in_child(job["what"], __file__, json.dumps(job))


def child(job: Job) -> None:
    if job["what"] == "prepare":
        answer = prepare(job)
    else:
        stage, io = (sft if job["what"] == "sft" else ppo)(job)
        imported()
        before = resident()
        stage.run(io)
        answer = {"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10 - before}
    print("\n" + json.dumps(answer))


def imported() -> None:
    """Load the modules that a stage imports when it runs: they are not what is measured."""
    for name in ("align.ppo.train", "align.training.fit", "align.training.trainers"):
        importlib.import_module(name)


def resident() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def prepare(job: Job) -> Job:
    """Write base/model, judge/model with judge/adapter, and rows of exactly the wanted lengths."""
    import torch
    from peft import get_peft_model
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, TokenizersBackend

    from align.models.adapter import lora_config
    from align.models.scalar import load_reward_model
    from align.models.spec import AdapterSpec, ModelSpec
    from align.models.tokenizer import load_tokenizer

    folder, base = Path(job["folder"]), Path(job["folder"]) / "base" / "model"
    words = [
        "<pad>",
        "<end>",
        "User",
        "Assistant",
        *(f"w{number}" for number in range(job["vocabulary"] - 4)),
    ]
    model = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="w0"))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = TokenizersBackend(tokenizer_object=model, eos_token="<end>", pad_token="<pad>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ 'User' if m['role'] == 'user' else 'Assistant' }} {% generation %}"
        "{{ m['content'] }} <end> {% endgeneration %}{% endfor %}"
        "{% if add_generation_prompt %}Assistant {% endif %}"
    )
    torch.manual_seed(0)
    sizes = {"n_embd": job["embedding"], "n_layer": job["layers"], "n_head": job["heads"]}
    config = GPT2Config(vocab_size=job["vocabulary"], n_positions=2 * job["half"] + 16, **sizes)
    policy = GPT2LMHeadModel(config)
    policy.save_pretrained(base)
    tokenizer.save_pretrained(base)
    read = load_tokenizer(str(base))
    judge: Any = load_reward_model(str(base), ModelSpec(path=str(base)), read)
    adapted: Any = get_peft_model(judge, lora_config(AdapterSpec(**ADAPTER), judge, read, "SEQ_CLS"))
    adapted.save_pretrained(folder / "judge" / "adapter")
    adapted.merge_and_unload().save_pretrained(folder / "judge" / "model")
    tokenizer.save_pretrained(folder / "judge" / "model")
    rows = []
    for row in range(ROWS * STEPS):
        said = [f"w{(17 * row + word) % (job['vocabulary'] - 4)}" for word in range(2 * job["half"])]
        # User, the words, <end>, Assistant; then the words and <end>
        rows.append([" ".join(said[: job["half"] - 3]), " ".join(said[job["half"] : -1])])
    (folder / "prompts.jsonl").write_text("\n".join(json.dumps({"prompt": row[0]}) for row in rows))
    turns = [
        [{"role": who, "content": text} for who, text in zip(("user", "assistant"), row, strict=True)]
        for row in rows
    ]
    (folder / "sft.jsonl").write_text("\n".join(json.dumps({"messages": row}) for row in turns))
    return {"parameters": policy.num_parameters()}


def sft(job: Job) -> tuple[Any, Any]:
    return stage_of(
        job,
        {
            **{
                "kind": "sft",
                "model": {"path": f"{job['folder']}/base/model"},
                "data": data(job, "sft", "messages"),
            },
            "trainer": {"max_steps": STEPS, "max_length": 2 * job["half"], "learning_rate": 1e-5},
        },
    )


def ppo(job: Job) -> tuple[Any, Any]:
    folder, judge = job["folder"], f"{job['folder']}/judge/model"
    rates = {f"{name}_optimizer": {"learning_rate": 1e-5} for name in ("policy", "value")}
    return stage_of(
        job,
        {
            **{"kind": "ppo", "policy": {"path": f"{folder}/base/model"}, "value": {"path": judge}},
            "rewards": {
                "judge": {"source": {"_target_": "align.rewards.learned.LearnedReward", "model": judge}}
            },
            **{"data": data(job, "prompts", "prompts"), "updates": STEPS, **rates},
            "decoding": {"temperature": 1, "max_new_tokens": job["half"]},
        },
    )


def data(job: Job, name: str, row_format: str) -> Job:
    file = {"path": f"{job['folder']}/{name}.jsonl", "format": row_format}
    return {"sources": {name: file}, "screening": {"duplicates": "keep"}}


def stage_of(job: Job, given: Job) -> tuple[Any, Any]:
    """A stage and what it is run with."""
    from pydantic import TypeAdapter

    from align.stages import AnyStage

    shared = {"precision": "fp32", "batch_size": ROWS, "seed": 0, "adapter": ADAPTER}
    stage: Any = TypeAdapter(AnyStage).validate_python({**shared, **given})
    kind, folder = given["kind"], Path(job["folder"])
    return stage, stage_io(kind, folder / f"{kind}-{job['run']}", folder, micro_batch=MICRO_BATCH)


if __name__ == "__main__":
    main()
