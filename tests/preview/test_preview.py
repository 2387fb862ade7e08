"""Preview: what is shown is what the trainers get, and the page holds whatever a row says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from transformers import PreTrainedTokenizerBase
from trl import DPOConfig, SFTConfig

from align.data.records import Conversation, Message, Place, PreferencePair, Prompt
from align.data.spec import ScreeningSpec
from align.models.causal import load_policy
from align.models.spec import ModelSpec, TokenizerSpec
from align.models.tokenizer import build_tokenizer, load_tokenizer
from align.ppo.prompts import fitting
from align.preview.page import page
from align.preview.pieces import pieces
from align.preview.screen import show
from align.preview.view import VIEWS, Preview, ShownRow, shown_row
from align.training.tokenise import tokenise_conversations, tokenise_pairs
from align.training.trainers import PlannedDPOTrainer, PlannedSFTTrainer

POLICY = ScreeningSpec()
SETTINGS: dict[str, Any] = {
    "use_cpu": True,
    "bf16": False,
    "activation_checkpointing": False,
    "report_to": "none",
}


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny_model), chat_template="chatml")


def masked(shown: ShownRow) -> list[list[tuple[int, bool]]]:
    """(token id, whether it is learnt) of every sequence of a row, read off what is shown."""
    return [
        [(token, piece.is_trained) for piece in part.pieces for token in piece.ids] for part in shown.parts
    ]


def trainer(kind: Any, config: Any, model: Path, tokenizer: Any, rows: Any, folder: Path) -> Any:
    policy = load_policy(str(model), ModelSpec(path=str(model)), tokenizer)
    return kind(
        model=policy,
        args=config(output_dir=str(folder), **SETTINGS),
        train_dataset=rows,
        processing_class=tokenizer,
    )


def test_sft_shows_what_the_collator_gives(
    tiny_model: Path,
    tokenizer: PreTrainedTokenizerBase,
    conversations: list[Conversation],
    tmp_path: Path,
) -> None:
    rows = tokenise_conversations(conversations, tokenizer, None).dataset
    built = trainer(PlannedSFTTrainer, SFTConfig, tiny_model, tokenizer, rows, tmp_path)
    batch = built.data_collator([rows[number] for number in range(len(rows))])
    for number, row in enumerate(conversations):
        (shown,) = masked(shown_row(VIEWS["sft"], row, tokenizer, None, POLICY))
        real = batch["attention_mask"][number].bool()
        labels = batch["labels"][number][real].tolist()
        given = list(zip(batch["input_ids"][number][real].tolist(), [x != -100 for x in labels], strict=True))
        assert shown == given
        assert [label for label in labels if label != -100] == [token for token, learnt in shown if learnt]


def test_dpo_shows_what_the_collator_gives(
    tiny_model: Path, tokenizer: PreTrainedTokenizerBase, pairs: list[PreferencePair], tmp_path: Path
) -> None:
    rows = tokenise_pairs(pairs, tokenizer, None).dataset
    built = trainer(PlannedDPOTrainer, DPOConfig, tiny_model, tokenizer, rows, tmp_path)
    batch = built.data_collator([rows[number] for number in range(len(rows))])
    for number, row in enumerate(pairs):
        shown = masked(shown_row(VIEWS["dpo"], row, tokenizer, None, POLICY))
        for side, place in enumerate((number, number + len(pairs))):
            real = batch["attention_mask"][place].bool()
            learnt = batch["completion_mask"][place][real].bool().tolist()
            assert shown[side] == list(zip(batch["input_ids"][place][real].tolist(), learnt, strict=True))


def test_reward_marks_the_token_that_is_scored_and_prompts_learn_nothing(
    tokenizer: PreTrainedTokenizerBase, pairs: list[PreferencePair]
) -> None:
    for side in masked(shown_row(VIEWS["reward"], pairs[3], tokenizer, None, POLICY)):
        assert [learnt for _, learnt in side] == [False] * (len(side) - 1) + [True]
        assert side[-1][0] == tokenizer.eos_token_id
    prompt = Prompt(pairs[3].prompt)
    (shown,) = masked(shown_row(VIEWS["ppo"], prompt, tokenizer, None, POLICY))
    assert shown == [(token, False) for token in fitting([prompt], tokenizer, None).tokens[0]]


def test_the_template_is_told_from_what_is_said(tokenizer: PreTrainedTokenizerBase) -> None:
    row = Conversation((Message("user", "user and user"), Message("assistant", "it is red")))
    part = shown_row(VIEWS["sft"], row, tokenizer, None, POLICY).parts[0]
    said = "".join(piece.text for piece in part.pieces if not piece.is_template)
    written = "".join(piece.text for piece in part.pieces if piece.is_template)
    assert said == "user and userit is red"
    assert written == "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n<|im_end|>"


def test_bytes_of_one_character_are_one_piece() -> None:
    tokenizer = build_tokenizer(TokenizerSpec(vocab_size=384), ["no Korean here"])
    ids = tokenizer("a 한글", add_special_tokens=False)["input_ids"]
    found = pieces(tokenizer, ids, [False] * len(ids), ["a 한글"])
    assert [(piece.text, len(piece.ids)) for piece in found if len(piece.ids) > 1] == [("한", 3), ("글", 3)]
    assert "".join(piece.text for piece in found) == "a 한글"
    assert [token for piece in found for token in piece.ids] == ids


def test_a_row_that_is_left_out_says_why(
    tokenizer: PreTrainedTokenizerBase, conversations: list[Conversation]
) -> None:
    shown = shown_row(VIEWS["sft"], conversations[0], tokenizer, 3, POLICY)
    assert not shown.parts and "the row has 22 tokens, 3 are read" in (shown.left_out or "")


def test_the_page_is_whole_and_escapes_what_rows_say(tokenizer: PreTrainedTokenizerBase) -> None:
    evil = Message("user", '<script>alert(1)</script> & "quotes"')
    row = replace(Conversation((evil, Message("assistant", "no"))), place=Place("mine", "<b>.jsonl", "7"))
    shown = shown_row(VIEWS["sft"], row, tokenizer, None, POLICY)
    preview = Preview("sft", "sft", "tiny", 256, 16, (shown,))
    html = page(preview)
    assert "<script" not in html and "&lt;b&gt;.jsonl:7" in html
    assert "http" not in html.replace("http-equiv", "") and "prefers-color-scheme: dark" in html
    assert html.count('class="learnt') == 1 + sum(p.is_trained for p in shown.parts[0].pieces)
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115
    show(preview, console)
    text = console.export_text()
    assert "sft (sft): 1 of 16 rows, tokens of tiny, at most 256 tokens each" in text
    assert "<script>alert(1)</script>" in text
