"""The preview script, on the configuration of a user's own."""

import json
from pathlib import Path


def test_the_script_shows_a_stage_and_refuses_where_there_are_no_tokens_yet(
    toy, tiny_model: Path, tmp_path: Path
) -> None:
    base = f"stages.sft.model.path={tiny_model}"
    chatml = "+stages.sft.model.chat_template=chatml"
    done = toy.run(tmp_path, "run.only=sft", base, chatml, "run.preview_rows=2", script="preview_data")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "previews" / "sft.html"
    assert str(file) in done.stdout and "sft (sft): 2 of " in done.stdout
    assert file.read_text(encoding="utf-8").count('class="tokens"') == 2
    first = json.loads((toy.data / "conversations.jsonl").read_text().splitlines()[0])
    assert first["messages"][-1]["content"].split()[0] in done.stdout
    done = toy.run(tmp_path, "run.only=sft", script="preview_data")
    assert done.returncode == 2 and "still to be learnt" in done.stderr
    done = toy.run(tmp_path, "run.only=pretrain", script="preview_data")
    assert done.returncode == 2 and done.stderr.startswith("run.only: none of pretrain learns from turns")
