"""Held-out losses of a trained model, in fp32 and one row at a time: the ruler of bench_trainers.py.

python scripts/bench_trainers.py
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def held_out_loss(task: str, folder: Path, output: Path) -> float:
    """Mean held-out loss of a trained model, in fp32: per completion token for SFT, else per pair."""
    import torch

    rows = [json.loads(line) for line in (folder / "data" / "test.jsonl").open()]
    with torch.no_grad():
        return {"sft": sft_loss, "reward": reward_loss, "dpo": dpo_loss}[task](rows, folder, output / "model")


def sft_loss(rows: Sequence[Mapping[str, Any]], folder: Path, trained: Path) -> float:
    from align.data.formats.turns import messages_of
    from align.data.records import Conversation
    from align.models.tokenizer import load_tokenizer
    from align.training.token_columns import IGNORED
    from align.training.tokenise import tokenise_conversations

    conversations = [Conversation(messages_of(row["messages"])) for row in rows]
    dataset = tokenise_conversations(conversations, load_tokenizer(str(folder / "model")), None).dataset
    prompts = [row.count(IGNORED) for row in dataset["labels"]]
    completions = sum(dataset["length"]) - sum(prompts)
    return -sum(logprobs(trained, list(zip(dataset["input_ids"], prompts, strict=True)))) / completions


def reward_loss(rows: Sequence[Mapping[str, Any]], folder: Path, trained: Path) -> float:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(trained).eval()
    pairs = tokenised(rows, folder)
    scores = [
        [model(as_tensor(pair["prompt_ids"] + pair[side])).logits.item() for pair in pairs]
        for side in ("chosen_ids", "rejected_ids")
    ]
    return bradley_terry([chosen - rejected for chosen, rejected in zip(*scores, strict=True)])


def dpo_loss(rows: Sequence[Mapping[str, Any]], folder: Path, trained: Path) -> float:
    pairs = tokenised(rows, folder)
    ratios = []
    for side in ("chosen_ids", "rejected_ids"):
        whole = [(pair["prompt_ids"] + pair[side], len(pair["prompt_ids"])) for pair in pairs]
        after, before = logprobs(trained, whole), logprobs(folder / "model", whole)
        ratios.append([one - other for one, other in zip(after, before, strict=True)])
    return bradley_terry([0.1 * (chosen - rejected) for chosen, rejected in zip(*ratios, strict=True)])


def tokenised(rows: Sequence[Mapping[str, Any]], folder: Path) -> Any:
    from align.data.formats.turns import messages_of
    from align.data.records import PreferencePair
    from align.models.tokenizer import load_tokenizer
    from align.training.tokenise import tokenise_pairs

    sides = ("prompt", "chosen", "rejected")
    pairs = [PreferencePair(*(messages_of(row[side]) for side in sides)) for row in rows]
    return tokenise_pairs(pairs, load_tokenizer(str(folder / "model")), None).dataset


def logprobs(path: Path, rows: Sequence[tuple[Sequence[int], int]]) -> list[float]:
    """Log-probability of `ids[start:]` given what stands before, for every (ids, start)."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path).eval()
    found = []
    for ids, start in rows:
        table = model(as_tensor(ids)).logits[0, start - 1 : -1].log_softmax(dim=-1)
        found.append(table.gather(1, as_tensor(ids[start:]).T).sum().item())
    return found


def bradley_terry(differences: Sequence[float]) -> float:
    return sum(math.log1p(math.exp(-difference)) for difference in differences) / len(differences)


def as_tensor(ids: Sequence[int]) -> Any:
    import torch

    return torch.tensor([ids])
