"""IFEval's checkers give the verdicts that were published with the data."""

import gzip
import json
import subprocess
import sys
from collections import Counter

import pytest

from align.data.records import Message, Prompt
from align.evaluation.benchmarks import ifeval
from align.evaluation.metrics.instruction_following import InstructionFollowing, followed

# What needs sentences: the models of the published verdicts split them with NLTK's English model.
SPLIT = {"length_constraints:number_sentences", "change_case:capital_word_frequency"}


@pytest.mark.parametrize("kind", ["strict", "loose"])
def test_published_verdicts_are_reproduced(kind, align_data):
    with (align_data / "ifeval" / "en_input_data.jsonl").open(encoding="utf-8") as lines:
        prompts = [ifeval(json.loads(line)) for line in lines]
    path = align_data / "ifeval" / f"qwen2.5-0.5b_eval_results_{kind}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        published = {row["prompt"]: row for row in map(json.loads, lines)}
    asked, agreed = Counter(), Counter()
    for prompt in prompts:
        row = published[prompt.messages[0].content]
        verdicts = followed(prompt, row["response"], loose=kind == "loose")
        for name, ours, theirs in zip(
            prompt.reference["instruction_id_list"], verdicts, row["follow_instruction_list"], strict=True
        ):
            asked[name in SPLIT] += 1
            agreed[name in SPLIT] += ours == theirs
    assert asked == {False: 757, True: 77}
    assert agreed[False] / asked[False] >= 0.995
    assert agreed[True] / asked[True] >= 0.95


def rule(name, **options):
    reference = {"key": 1, "instruction_id_list": [name], "kwargs": [options]}
    return Prompt((Message("user", "Write."),), reference)


def test_columns_count_prompts_and_instructions():
    both = {
        "key": 1,
        "instruction_id_list": ["punctuation:no_comma", "change_case:english_lowercase"],
        "kwargs": [{}, {}],
    }
    prompts = [rule("punctuation:no_comma"), Prompt((Message("user", "Write."),), both)]
    columns = InstructionFollowing().measure(prompts, ["no, comma\nnone here", "Plain english it is"])
    assert columns["prompt_strict"].values == [0, 0]
    assert columns["prompt_loose"].values == [1, 0], "without its first line the answer has no comma"
    assert columns["instruction_strict"].weights == [1, 2]
    assert columns["instruction_strict"].values == [0, 0.5]


def test_sentences_are_counted_without_a_download():
    prompt = rule("length_constraints:number_sentences", relation="at least", num_sentences=2)
    assert followed(prompt, "One is here. Two is there.", loose=False) == [True]
    assert followed(prompt, "One is here", loose=False) == [False]


def test_unknown_instructions_are_told():
    with pytest.raises(ValueError, match="no checker for the instruction 'length:odd'"):
        InstructionFollowing().measure([rule("length:odd")], [""])


def test_a_missing_lm_eval_is_told(monkeypatch):
    from align.evaluation.metrics import instruction_following

    instruction_following._checkers.cache_clear()
    monkeypatch.setattr(instruction_following, "NEEDS", ("lm_eval_that_is_not_there",))
    with pytest.raises(ValueError, match=r"is not installed: pip install 'align\[benchmarks\]'"):
        InstructionFollowing().measure([rule("punctuation:no_comma")], [""])


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = "import sys, align.evaluation.metrics.instruction_following; sys.exit('lm_eval' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
