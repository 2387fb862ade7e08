"""Talking through a pipe, as a real process, and what is refused before anything is loaded."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from align.artifacts.store import ArtifactDir, Store
from align.chat.command import Refused, decoding_of, main
from align.chat.places import PlaceError, find
from align.data.contract import contract_of
from align.generation.decoding import DecodingSpec
from align.models.tokenizer import load_tokenizer
from tests.conftest import answer, question

ROOT = Path(__file__).parents[2]


def chat(said: str, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "scripts/chat.py",
        *words,
        "--set",
        "temperature=0",
        "--set",
        "max_new_tokens=24",
    ]
    return subprocess.run(command, input=said, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_two_models_answer_side_by_side_through_a_pipe(tiny_model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_model, tmp_path / "other")
    asked = f"What of {question(2)}?"
    said = f"{asked}\n/save {tmp_path}/new/talk.jsonl\n/reset\n/system Be kind.\n\nHello <|endoftext|>\n"
    said += "/quit\nnot read\n"
    done = chat(said, str(tiny_model), str(other))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{tiny_model.name}: ") and lines[1].startswith("other: ")
    assert lines[0].partition(": ")[2] == lines[1].partition(": ")[2]  # the same weights
    assert "not read" not in done.stdout and "Traceback" not in done.stderr
    rows = [json.loads(line) for line in (tmp_path / "new" / "talk.jsonl").read_text().splitlines()]
    assert [row["model"] for row in rows] == [tiny_model.name, "other"]
    assert rows[0]["messages"][0] == {"role": "user", "content": asked}
    assert rows[0]["messages"][1]["content"] == lines[0].partition(": ")[2]


def test_another_template_than_that_of_training_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    trained = shutil.copytree(tiny_model, tmp_path / "trained")
    contract_of(load_tokenizer(str(trained))).save(trained)
    done = chat("hello\n", str(trained), "--template", "chatml")
    assert done.returncode == 2
    assert "template_sha256: training has" in done.stderr and not done.stdout
    assert "Traceback" not in done.stderr


def test_answers_come_token_by_token_and_an_interrupt_keeps_what_was_heard(tiny_model: Path) -> None:
    from align.chat.partner import Partner
    from align.chat.places import Place

    place = Place("tiny", str(tiny_model))
    partner = Partner(place, DecodingSpec(max_new_tokens=40), None, "cpu")
    heard: list[str] = []
    whole = partner.answer(f"What of {question(0)}?", None, heard.append)
    assert len(heard) > 2 and heard[-1] == whole
    assert all(later.startswith(sooner) for sooner, later in zip(heard, heard[1:], strict=False))

    def stop(text: str) -> None:
        raise KeyboardInterrupt

    partner.reset()
    partial = partner.answer(f"What of {question(0)}?", None, stop)
    assert whole.startswith(partial) and partial != whole
    assert [turn["content"] for turn in partner.turns][1] == partial
    assert answer(0)  # the toy's own, which a model this small may or may not know


def test_stages_of_the_newest_run_and_artifacts_have_names(tmp_path: Path, tiny_model: Path) -> None:
    store = Store(tmp_path)
    artifact = store.artifact("sft", "0" * 12)
    reward = store.artifact("reward", "1" * 12)
    for item, kind in ((artifact, "sft"), (reward, "reward")):
        lock = store.acquire(item)
        assert lock is not None
        shutil.copytree(tiny_model, item.model)
        store.commit(lock, {"kind": kind, "parents": {}})
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "mine").symlink_to(artifact.path)
    for name in ("mine", artifact.name, str(artifact.path), str(artifact.model)):
        assert Path(find(name, tmp_path, None).path).resolve() == artifact.model.resolve()
    with pytest.raises(PlaceError, match="does not talk"):
        find(reward.name, tmp_path, None)
    with pytest.raises(PlaceError, match="the run first has mine"):
        find("ppo", tmp_path, None)
    with pytest.raises(PlaceError, match="no such run"):
        find("mine", tmp_path, "second")
    assert find("org/model@abc", tmp_path, None).revision == "abc"
    assert find("org/model", tmp_path, None).path == "org/model"


def test_a_damaged_artifact_is_refused(tmp_path: Path, tiny_model: Path, capsys) -> None:
    store = Store(tmp_path)
    artifact = ArtifactDir(store.artifact("sft", "0" * 12).path)
    lock = store.acquire(artifact)
    assert lock is not None
    shutil.copytree(tiny_model, artifact.model)
    store.commit(lock, {"kind": "sft", "parents": {}})
    (artifact.model / "model.safetensors").write_bytes(b"")
    assert main([artifact.name, "--outputs", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err


def test_decoding_is_the_house_s_own() -> None:
    assert decoding_of(None, ["temperature=0", "seed=3"]) == DecodingSpec(
        temperature=0, top_p=0.95, max_new_tokens=256, seed=3
    )
    for words, told in (
        (["temperature"], "key=value"),
        (["temperature=["], "--set temperature="),
        (["heat=1"], "heat"),
        (["temperature=-1"], "temperature"),
    ):
        with pytest.raises(Refused, match=told):
            decoding_of(None, words)
    assert decoding_of("greedy", ["max_new_tokens=9"]) == DecodingSpec(temperature=0, max_new_tokens=9)
    with pytest.raises(Refused, match="--decoding nothing"):
        decoding_of("nothing", [])
