"""What people vote on comes back as verdicts on the same answers."""

import json

from align.data.records import Message, Prompt
from align.evaluation.ballot_sheet import main
from align.judges.ballots import Ballots
from align.judges.source import Comparison


def test_votes_come_back_to_the_answers_they_are_on(tmp_path, capsys):
    folder = tmp_path / "run" / "evaluate"
    folder.mkdir(parents=True)
    asked = [[{"role": "user", "content": f"question {number}"}] for number in range(40)]
    texts = [(f"good {number}", "same" if number == 7 else f"bad {number}") for number in range(40)]
    texts[7] = ("same", "same")
    lines = [
        {"suite": "s", "prompt": prompt, "completions": {"dpo": {"text": one}, "sft": {"text": other}}}
        for prompt, (one, other) in zip(asked, texts, strict=True)
    ]
    lines += lines[:20]  # a suite may ask the same twice, and get the same answers
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sheet = tmp_path / "votes.jsonl"
    words = [str(tmp_path / "run"), "dpo", "sft", str(sheet), "--most", "30"]
    assert main(words) == 0 and "30 pairs to vote on" in capsys.readouterr().out
    assert main(words) == 2 and "exists, with votes perhaps" in capsys.readouterr().err

    rows = [json.loads(line) for line in sheet.read_text().splitlines()]
    assert len({row["item"] for row in rows}) == 30
    assert 5 < sum("good" in row["first"] for row in rows) < 25, "either may come first"
    for row in rows:
        row.update(annotator="ann", verdict="first" if "good" in row["first"] else "second")
    sheet.write_text("".join(json.dumps(row) + "\n" for row in rows))
    compared = [
        Comparison(Prompt((Message(**prompt[0]),)), one, other)
        for prompt, (one, other) in zip(asked, texts, strict=True)
    ]
    found = Ballots(str(sheet)).compare(compared)
    assert [verdict.value for verdict in found].count(1.0) == 30
    assert [verdict.missing for verdict in found].count("absent") == 10
    assert main([str(tmp_path), "a", "b", str(tmp_path / "x")]) == 2
    capsys.readouterr()
    assert main([str(tmp_path / "run"), "dpoo", "sft", str(tmp_path / "x")]) == 2
    assert "has no checkpoint dpoo; did you mean dpo? (dpo, sft)" in capsys.readouterr().err
