"""A tokenizer, a model and rows small enough to build in memory; the settings every test runs under."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("DS_ACCELERATOR", "cpu")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background, which processes of tests inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)

from pathlib import Path

import pytest

from align.data.records import Conversation, Message, PreferencePair
from align.models.spec import ArchitectureSpec, TokenizerSpec

THINGS = ("fox", "owl", "river", "map", "lamp", "bread", "rain", "stone", "boat", "crow", "hill", "pond")
COLOURS = ("red", "blue", "green", "white", "black", "grey")


def question(number: int) -> str:
    """Questions of different lengths about different things."""
    return " and ".join(f"the {THINGS[(number + step) % len(THINGS)]}" for step in range(1 + number % 4))


def answer(number: int) -> str:
    """The right answer to `question(number)`, of a length of its own."""
    return " then ".join(f"it is {COLOURS[(number + step) % len(COLOURS)]}" for step in range(1 + number % 3))


@pytest.fixture(scope="session")
def conversations() -> list[Conversation]:
    """Sixteen questions, each with the one answer to learn."""
    return [
        Conversation((Message("user", f"What of {question(n)}?"), Message("assistant", answer(n))))
        for n in range(16)
    ]


@pytest.fixture(scope="session")
def pairs() -> list[PreferencePair]:
    """Sixteen questions with the right answer preferred to a rude one."""
    return [
        PreferencePair(
            (Message("user", f"What of {question(n)}?"),),
            (Message("assistant", answer(n)),),
            (Message("assistant", f"go away, {THINGS[n % len(THINGS)]}, " + "no " * (n % 5)),),
        )
        for n in range(16)
    ]


@pytest.fixture(scope="session")
def texts(conversations: list[Conversation]) -> list[str]:
    """Everything that is said in the toy conversations, and what is said in no answer."""
    spoken = [message.content for row in conversations for message in row.messages]
    return [*spoken, "go away, no no no", "User: What of it?", "Assistant: it is so"]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """A folder with a two-layer Llama that has read the toy texts for a second, and its tokenizer."""
    import torch

    from align.models.causal import build_policy
    from align.models.tokenizer import build_tokenizer

    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = build_tokenizer(TokenizerSpec(vocab_size=384), texts)
    sizes = ArchitectureSpec(hidden_size=48, layers=2, heads=2, intermediate_size=96, max_positions=256)
    model = build_policy(sizes, tokenizer)
    batch = tokenizer([f"{text}{tokenizer.eos_token}" for text in texts], padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("tiny_model")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def align_data() -> Path:
    """The folder of real datasets named by ALIGN_DATA."""
    folder = os.environ.get("ALIGN_DATA")
    if not folder:
        pytest.skip("ALIGN_DATA is not set: no real data to read")
    return Path(folder)
