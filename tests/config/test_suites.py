"""Suites take corpus entries and limits as the data of a stage does."""

from align.config.preprocess import preprocess

TEXT = {"sources": {"a": {"path": "a.jsonl", "format": "messages"}}, "held_out": 0.1}


def plain(suites: dict[str, object], **rest: object) -> dict[str, object]:
    return {"corpus": {"sft": dict(TEXT)}, "stages": {"judge": {"kind": "judge", "suites": suites}}, **rest}


def test_a_suite_gets_its_corpus_entry() -> None:
    completed, problems = preprocess(plain({"asked": {"data": {"use": "sft"}}}), {})
    assert problems == []
    assert completed["stages"]["judge"]["suites"]["asked"]["data"] == TEXT


def test_mistakes_are_told_at_their_place() -> None:
    given = plain({"a": {"data": {"use": "stf"}}, "b": {"data": {"use": "sft", "seed": 1}}})
    _, problems = preprocess(given, {})
    assert [str(problem) for problem in problems] == [
        "stages.judge.suites.a.data.use: no such corpus entry 'stf' (sft); did you mean sft?",
        "stages.judge.suites.b.data.seed: this data is the corpus entry sft; set corpus.sft.seed instead",
    ]


def test_limits_reach_the_prompts() -> None:
    given = plain({"few": {"max_prompts": 3}, "many": {"max_prompts": 30}, "all": {}}, limits={"rows": 10})
    suites = preprocess(given, {})[0]["stages"]["judge"]["suites"]
    assert {name: suite["max_prompts"] for name, suite in suites.items()} == {"few": 3, "many": 10, "all": 10}


def test_only_keeps_the_corpora_that_suites_use() -> None:
    given = plain({"asked": {"data": {"use": "sft"}}}, run={"only": "judge"})
    given["corpus"]["pairs"] = dict(TEXT)
    assert list(preprocess(given, {})[0]["corpus"]) == ["sft"]
