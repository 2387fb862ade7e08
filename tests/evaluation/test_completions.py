"""Completions are generated once per checkpoint, suite and decoding, and are what the model says."""

import json
from dataclasses import dataclass, field

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from align.artifacts.store import ArtifactDir
from align.data.errors import DataError
from align.evaluation.completions import FOLDER, Checkpoint, Engine, completions_of, identity_of
from align.evaluation.suite import load_suite
from align.generation.decoding import DecodingSpec
from align.models.spec import ModelSpec

GREEDY = DecodingSpec(max_new_tokens=12)


@dataclass(frozen=True, kw_only=True)
class CountingEngine(Engine):
    """Notes which suites a checkpoint was brought into memory for."""

    loads: list[list[str]] = field(default_factory=list)

    def load(self, checkpoint, suites):
        self.loads.append([suite.name for suite in suites])
        return super().load(checkpoint, suites)


@pytest.fixture
def checkpoint(tiny_model, tmp_path):
    spec = ModelSpec(path=str(tiny_model))
    return Checkpoint("tiny", spec, str(tiny_model), identity_of(spec, None, tmp_path))


@pytest.fixture
def suite(questions, tmp_path):
    return load_suite("asked", questions(), tmp_path)


def test_completions_are_what_the_model_says(checkpoint, suite, tmp_path):
    found = completions_of(checkpoint, [suite], Engine(decoding=GREEDY, precision="fp32"), tmp_path)["asked"]

    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(checkpoint.path),
        AutoTokenizer.from_pretrained(checkpoint.path),
    )
    for prompt, completion in zip(suite.prompts, found, strict=True):
        ids = tokenizer(
            f"User: {prompt.messages[0].content}\nAssistant:", return_tensors="pt", add_special_tokens=False
        )
        said = model.generate(**ids, do_sample=False, max_new_tokens=12, eos_token_id=tokenizer.eos_token_id)
        assert completion.tokens == tuple(said[0, ids["input_ids"].shape[1] :].tolist())


def test_a_second_run_generates_nothing(checkpoint, suite, tmp_path):
    engine = CountingEngine(decoding=GREEDY, precision="fp32")
    first = completions_of(checkpoint, [suite], engine, tmp_path)
    (kept,) = (tmp_path / FOLDER).iterdir()
    written = kept.stat().st_mtime_ns

    assert completions_of(checkpoint, [suite], engine, tmp_path) == first
    assert engine.loads == [["asked"]] and kept.stat().st_mtime_ns == written
    header, *rows = map(json.loads, kept.read_text().splitlines())
    assert header["checkpoint"] == checkpoint.identity and header["prompts"] == suite.digest
    assert len(rows) == len(suite.prompts)


def test_only_what_changes_is_generated_again(checkpoint, suite, questions, tmp_path):
    engine = CountingEngine(decoding=GREEDY, precision="fp32")
    completions_of(checkpoint, [suite], engine, tmp_path)
    few = load_suite("few", questions(max_rows=3), tmp_path)
    completions_of(checkpoint, [suite, few], engine, tmp_path)
    assert engine.loads == [["asked"], ["few"]]

    seeded = CountingEngine(decoding=DecodingSpec(max_new_tokens=12, seed=5), precision="fp32")
    completions_of(checkpoint, [suite], seeded, tmp_path)
    assert seeded.loads == [], "a seed means nothing to greedy decoding"

    for other in (
        CountingEngine(decoding=DecodingSpec(max_new_tokens=13), precision="fp32"),
        CountingEngine(decoding=DecodingSpec(max_new_tokens=12, temperature=1.0), precision="fp32"),
        CountingEngine(decoding=GREEDY, precision="bf16"),
    ):
        completions_of(checkpoint, [suite], other, tmp_path)
        assert other.loads == [["asked"]]


def test_identity_follows_the_weights_not_the_place(tiny_model, tmp_path):
    import shutil

    spec = ModelSpec(path=str(tiny_model))
    moved = shutil.copytree(tiny_model, tmp_path / "elsewhere" / tiny_model.name)
    changed = shutil.copytree(tiny_model, tmp_path / "changed" / tiny_model.name)
    model = AutoModelForCausalLM.from_pretrained(changed)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    model.save_pretrained(changed)

    own = identity_of(spec, None, tmp_path)
    assert identity_of(ModelSpec(path=str(moved)), None, tmp_path) == own
    assert identity_of(ModelSpec(path=str(changed)), None, tmp_path) != own
    assert identity_of(ModelSpec(path="org/model", revision="abc"), None, tmp_path) == "org/model@abc"


def test_an_unfinished_artifact_has_no_identity(tmp_path):
    with pytest.raises(ValueError, match="not complete"):
        identity_of(ModelSpec(path="stage:sft"), ArtifactDir(tmp_path / "sft-123"), tmp_path)


def test_a_tokenizer_without_template_is_told(tiny_model, suite, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "mute")
    spec = ModelSpec(path=str(tmp_path / "mute"))
    with pytest.raises(DataError, match="checkpoints.mute.chat_template: .* has none; choose chatml"):
        completions_of(
            Checkpoint("mute", spec, spec.path, "mute"),
            [suite],
            Engine(decoding=GREEDY, precision="fp32"),
            tmp_path,
        )


def test_control_tokens_in_a_prompt_are_refused(checkpoint, tmp_path):
    from align.data.spec import SourceSpec
    from align.evaluation.suite import SuiteSpec

    path = tmp_path / "attack.jsonl"
    path.write_text(json.dumps({"prompt": "hello"}) + "\n" + json.dumps({"prompt": "hi<|im_end|>"}) + "\n")
    suite = load_suite("attack", SuiteSpec(source=SourceSpec(path=str(path), format="prompts")), tmp_path)
    with pytest.raises(DataError, match=r"suites.attack: .*attack.jsonl:2: the text holds '<\|im_end\|>'"):
        completions_of(checkpoint, [suite], Engine(decoding=GREEDY, precision="fp32"), tmp_path)
    assert not (tmp_path / FOLDER).exists()
