"""The files: every one loads like real data; held-out questions stand where they should and nowhere else."""

import json
import re
from pathlib import Path

import pytest

from align.config.plugin import PluginSpec
from align.data.card import card_problems
from align.data.records import Conversation, PreferencePair, Prompt, Text
from align.data.source import load_rows
from align.data.spec import DataSpec, SourceSpec
from align.sandbox.gold import gold_score
from align.sandbox.world import GRAMMARS
from align.sandbox.write import write_sandbox

FILES = {
    "text": ("text", Text),
    "sft": ("messages", Conversation),
    "pairs": ("pairs", PreferencePair),
    "prompts": ("prompts", Prompt),
    "held_out": ("prompts", Prompt),
    "asked": ("prompts", Prompt),
    "limits": ("prompts", Prompt),
}
TRAINING = ("text", "sft", "pairs", "prompts")


def rows(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def training_prompts(folder: Path) -> set[str]:
    found = {row["messages"][0]["content"] for row in rows(folder, "sft")}
    return found | {
        row["prompt"][0]["content"] for name in ("pairs", "prompts") for row in rows(folder, name)
    }


def asks_about(prompt: str, language: str) -> set[tuple[str, str]]:
    """(name, attribute) of every question template that a prompt could come from."""
    found = set()
    for attribute in GRAMMARS[language].attributes:
        for template in attribute.questions:
            before, name, after = re.split(r"(\{name[^}]*\})", template)
            particle = "(?:은|는|이|가)" if ":" in name else ""
            match = re.fullmatch(f"{re.escape(before)}(.+?){particle}{re.escape(after)}", prompt)
            if match:
                found.add((match[1], attribute.key))
    return found


def test_held_out_facts_stand_in_the_text_and_in_no_training_prompt(folder, language):
    text = "\n".join(row["text"] for row in rows(folder, "text"))
    trained = training_prompts(folder)
    pairs_asked = set().union(*(asks_about(prompt, language) for prompt in trained))
    held_out = rows(folder, "held_out")

    assert len(pairs_asked) > 120 and len(held_out) >= 400
    for row in held_out:
        reference = row["reference"]
        assert (reference["subject"], reference["topic"]) in asks_about(row["prompt"][0]["content"], language)
        assert (reference["subject"], reference["topic"]) not in pairs_asked
        assert any(statement in text for statement in reference["answers"])


def test_asked_facts_are_asked_in_training(folder, language):
    pairs_asked = set().union(*(asks_about(prompt, language) for prompt in training_prompts(folder)))
    asked = [(row["reference"]["subject"], row["reference"]["topic"]) for row in rows(folder, "asked")]
    assert len(set(asked)) == 140
    assert set(asked) <= pairs_asked


def test_the_limits_are_asked_nowhere_in_training(folder):
    limits = rows(folder, "limits")
    assert not {row["prompt"][0]["content"] for row in limits} & training_prompts(folder)
    everything = "".join((folder / f"{name}.jsonl").read_text(encoding="utf-8") for name in TRAINING)
    strangers = [row["reference"]["subject"] for row in limits if row["reference"]["kind"] == "unknown"]
    assert len(strangers) >= 80
    assert not [name for name in strangers if re.search(rf"\b{name}\b", everything) and len(name) > 2]
    denials = "\n".join(answer for row in limits for answer in row["reference"]["answers"])
    assert not [name for name in strangers if name not in denials]


def test_training_rows_hold_neither_truth_nor_score(folder):
    keys = {"text": {"text"}, "sft": {"messages"}, "pairs": {"prompt", "chosen", "rejected"}}
    for name in keys:
        for row in rows(folder, name):
            assert set(row) == keys[name]
            turns = [turn for value in row.values() if isinstance(value, list) for turn in value]
            assert all(set(turn) == {"role", "content"} for turn in turns)


def test_prompts_carry_what_the_ruler_needs(folder):
    for name in ("prompts", "held_out", "asked", "limits"):
        for row in rows(folder, name):
            for answer in row["reference"]["answers"]:
                assert gold_score(row["reference"], answer) == 2.0
            assert gold_score(row["reference"], row["prompt"][0]["content"]) <= -1.0


@pytest.mark.parametrize("name", FILES)
def test_every_file_takes_the_road_of_real_data(name, language, tmp_path):
    sizes = {"documents": 200, "demonstrations": 100, "pairs": 100, "prompts": 100}
    generator = PluginSpec("align.sandbox.write.write_sandbox", {"seed": 3, "language": language, **sizes})
    file_format, row_type = FILES[name]
    source = SourceSpec(path=f"{name}.jsonl", generator=generator, format=file_format, card=f"{name}.md")
    spec = DataSpec(sources={"sandbox": source})

    assert card_problems(spec, tmp_path) == []
    loaded = load_rows(spec, row_type, tmp_path)
    assert loaded.train and all(isinstance(row, row_type) for row in loaded.train)


def test_the_same_arguments_write_the_same_bytes(folder, language, tmp_path):
    sizes = {
        name: len(rows(folder, file)) for name, file in (("documents", "text"), ("demonstrations", "sft"))
    }
    write_sandbox(tmp_path, seed=0, language=language, pairs=len(rows(folder, "pairs")), **sizes)
    for file in sorted(folder.iterdir()):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_language_without_grammar_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no sandbox speaks 'fr'; expected one of en, ko"):
        write_sandbox(tmp_path, seed=0, language="fr")  # type: ignore[arg-type]
