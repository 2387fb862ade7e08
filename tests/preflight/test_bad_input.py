"""Bad input through the scripts: it ends in a located error or a counted warning, and is not trained on.

The cases of one launch are the sources of one dataset; the script tells of all of them at once.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.preflight import cases, other_cases
from tests.preflight.cases import Case, lines, pair, said
from tests.preflight.conftest import Done, Launch

CONTRADICTED = "preferred the other way round"


def _with_a_good_row(name: str, *rows: Any) -> str:
    return lines(pair(f"asked in {name}", "yes", "no"), *rows)


PAIR_WARNINGS = {
    name: Case(reason, _with_a_good_row(name, row), says.partition("|")[0], ":2", done=done)
    for name, (reason, row, says, done) in other_cases.PAIR_CASES.items()
}
PAIR_WARNINGS["contested"] = Case(
    "contradicting preferences",
    lines(*other_cases.CONTRADICTION),
    f"{CONTRADICTED} elsewhere",
    ":2",
    done="kept",
)
PAIR_REFUSALS = {
    name: Case(reason, _with_a_good_row(name, row), says, ":2: ")
    for name, (reason, row, says, _) in other_cases.PAIR_CASES.items()
}
PAIR_REFUSALS["contested"] = Case(
    "contradicting preferences",
    lines(*other_cases.CONTRADICTION),
    f"{CONTRADICTED} at .*contested.jsonl:1",
    ":2: ",
)
TOKEN_CASES = ("same_tokens", "too_long")  # told once rows can be tokenised, so in a launch of their own
EVERYTHING = {
    "sft_errors": cases.SFT_ERRORS,
    "sft_warnings": cases.SFT_WARNINGS,
    "pair_errors": other_cases.PAIR_ERRORS | {n: c for n, c in PAIR_REFUSALS.items() if n not in TOKEN_CASES},
    "token_errors": {n: c for n, c in PAIR_REFUSALS.items() if n in TOKEN_CASES},
    "pair_warnings": PAIR_WARNINGS,
    "prompt_errors": other_cases.PROMPT_ERRORS,
    "text_errors": other_cases.TEXT_ERRORS,
}
STRICT = {
    name: "error"
    for name in (
        "identical_pairs",
        "conflicting_pairs",
        "placeholders",
        "too_long",
        "identical_tokens",
        "duplicates",
    )
}
OWN = {"path": "${model.path}"}
SMALL = {"batch_size": 2}
PAIRS = {**SMALL, "trainer": {"max_length": 240}}


def written(folder: Path, given: Mapping[str, Case], format_name: str) -> dict[str, Any]:
    """Every case as a file and the source that names it."""
    sources = {}
    for name, case in given.items():
        path = folder / f"{name}.{case.suffix}"
        path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
        kind = "text" if case.suffix == "txt" else format_name
        sources[name] = {"path": str(path), "format": kind, **case.fields}
    return sources


@pytest.fixture(scope="session")
def told(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Done, Path]]:
    """A function: name of a launch -> what the script said, and the folder of the cases; each is run once."""
    known: dict[str, tuple[Done, Path]] = {}
    launches: dict[str, Callable[[dict[str, Any]], Done]] = {
        "sft_errors": lambda files: launch("sft", files, settings=SMALL),
        "sft_warnings": lambda files: launch(
            "sft",
            files,
            settings=SMALL | {"trainer": {"max_length": 120}},
            screening={"control_tokens": "escape"},
        ),
        "pair_errors": lambda files: launch(
            "reward", files, settings=PAIRS | {"model": OWN}, screening=STRICT
        ),
        "token_errors": lambda files: launch(
            "reward",
            files,
            model="lower",
            settings=PAIRS | {"model": OWN},
            screening=STRICT,
        ),
        "pair_warnings": lambda files: launch(
            "dpo",
            files,
            model="lower",
            settings=PAIRS | {"policy": OWN},
        ),
        "prompt_errors": lambda files: launch("ppo", files, settings=PPO),
        "text_errors": lambda files: launch("pretrain", files, settings=SMALL),
    }
    formats = {"sft": "messages", "pair": "pairs", "token": "pairs", "prompt": "prompts", "text": "text"}

    def once(name: str) -> tuple[Done, Path]:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            sources = written(folder, EVERYTHING[name], formats[name.partition("_")[0]])
            known[name] = launches[name](sources), folder
        return known[name]

    return once


PPO = {
    "policy": OWN,
    "value": None,
    "batch_size": 4,
    "updates": 1,
    "decoding": {"max_new_tokens": 8},
    "rewards": {"reward_model": {"source": {"model": "${model.path}"}}},
}
REFUSED = [
    (launched, name)
    for launched, given in EVERYTHING.items()
    for name, case in given.items()
    if not case.done
]
WARNED = [
    (launched, name) for launched, given in EVERYTHING.items() for name, case in given.items() if case.done
]


@pytest.mark.parametrize("launched, name", REFUSED, ids=str)
def test_what_cannot_be_trained_on_is_refused_with_its_place(
    told: Callable[[str], tuple[Done, Path]], launched: str, name: str
) -> None:
    (done, folder), case = told(launched), EVERYTHING[launched][name]
    assert done.code == 2 and "Traceback" not in done.stderr, done.stderr
    place = f"{folder / name}.{case.suffix}{case.place}"
    (line,) = [line for line in done.problems if place in line]
    assert re.search(case.says.replace("{name}", name), line.partition(place)[2]), line


@pytest.mark.parametrize("launched", [name for name in EVERYTHING if "errors" in name])
def test_a_refusal_is_one_line_per_case_and_nothing_is_built(
    told: Callable[[str], tuple[Done, Path]], launched: str
) -> None:
    done, _ = told(launched)
    assert len(done.problems) == len(EVERYTHING[launched]), done.stderr
    assert not (done.outputs / "artifacts").exists() and not (done.outputs / "runs").exists()


@pytest.mark.parametrize("launched, name", WARNED, ids=str)
def test_what_can_be_left_out_is_counted_with_its_place(
    told: Callable[[str], tuple[Done, Path]], launched: str, name: str
) -> None:
    (done, folder), case = told(launched), EVERYTHING[launched][name]
    assert done.code == 0, done.stderr
    place = f"{folder / name}.{case.suffix}{case.place}"
    stage = "sft" if launched == "sft_warnings" else "dpo"
    pattern = (
        rf"stages\.{stage}\.data {name} +{case.count}  {case.done} +.*(?:{case.says}).*{re.escape(place)}$"
    )
    assert re.search(pattern, done.stdout, re.MULTILINE), done.stdout


def test_what_was_trained_on_is_what_was_right(told: Callable[[str], tuple[Done, Path]]) -> None:
    """The scripts of the warnings went on and trained; their record has the same findings as JSON."""
    for launched, stage, rows in (("sft_warnings", "sft", 7), ("pair_warnings", "dpo", 8)):
        done, _ = told(launched)
        (file,) = (done.outputs / "artifacts").glob(f"{stage}-*/data.json")
        report = json.loads(file.read_text(encoding="utf-8"))
        assert report["tokenised"]["train"]["rows"] == rows
        found = [
            (name, item) for name, entry in report["loaded"]["sources"].items() for item in entry["findings"]
        ]
        found += [(item["source"], item) for item in report["tokenised"]["train"]["findings"]]
        assert {name for name, _ in found} == set(EVERYTHING[launched])
        for name, item in found:
            case = EVERYTHING[launched][name]
            assert item["count"] == case.count and len(item["places"]) == case.count


def test_real_files_are_refused_with_their_line(launch: Launch, align_data: Path) -> None:
    folder = align_data / "dirty_real"
    sources = {
        f"real{number}": {"path": str(folder / name), **fields}
        for number, (name, (_, fields, _)) in enumerate(cases.REAL_ERRORS.items())
    }
    done = launch("sft", sources, settings=SMALL)
    assert done.code == 2 and len(done.problems) == len(sources), done.stderr
    for name, (_, _, says) in cases.REAL_ERRORS.items():
        assert re.search(re.escape(str(folder / name)) + says, done.stderr), done.stderr


def test_rows_that_are_all_too_long_are_refused_with_the_remedy(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(lines(*(said(f"question {number}", "a" * 99) for number in range(3))))
    done = launch(
        "sft",
        {"x": {"path": str(path), "format": "messages"}},
        settings=SMALL | {"trainer": {"max_length": 50}},
    )
    assert done.code == 2
    assert re.search(
        rf"none of 3 rows can be trained on: {path}:1: the row has \d+ tokens, 50 are read", done.stderr
    )
    assert "(3 such rows, also at 2, 3). Raise trainer.max_length" in done.stderr


def test_there_are_enough_cases() -> None:
    reasons = {case.reason for given in EVERYTHING.values() for case in given.values()}
    reasons |= {reason for reason, _, _ in cases.REAL_ERRORS.values()} | {"all rows over length"}
    assert len(REFUSED) + len(WARNED) + len(cases.REAL_ERRORS) + 1 >= 60
    assert len(reasons) >= 40, sorted(reasons)
