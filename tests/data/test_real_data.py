"""The shipped local datasets, read by their shipped configurations."""

import gzip
import json
import re
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from align.data.card import card_problems
from align.data.errors import DataError
from align.data.records import Conversation, PreferencePair, Prompt, Row, Text, texts_of
from align.data.source import Rows, load_rows
from align.data.spec import DataSpec, SourceSpec
from align.data.split import opening

CONF = Path(__file__).parents[2] / "conf"
CORPORA = TypeAdapter(dict[str, DataSpec])
ROW_TYPES: dict[str, type[Row]] = {
    "text": Text,
    "sft": Conversation,
    "pairs": PreferencePair,
    "prompts": Prompt,
}
TOKENS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|pad|>",
]


def composed(name: str, data: str = "data") -> Any:
    """One file of conf/ by itself, with the two root keys that such files refer to."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        given = compose(name, overrides=["+seed=0", f"+paths.data={data}"])
    group = name.split("/")[0]
    return OmegaConf.to_container(given, resolve=True)[group]  # type: ignore[index,call-overload]


def source(name: str, data: Path) -> SourceSpec:
    return TypeAdapter(SourceSpec).validate_python(composed(f"data/{name}", str(data)))


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("sandbox"))


@pytest.mark.parametrize("name", names("data"))
def test_every_dataset_binds_and_has_its_card(name: str) -> None:
    spec = TypeAdapter(SourceSpec).validate_python(composed(f"data/{name}"))
    assert spec.card is not None and (CONF.parent / "data_cards" / f"{spec.card}.md").exists()


@pytest.mark.parametrize("name", names("corpus"))
def test_every_corpus_binds(name: str) -> None:
    corpus = CORPORA.validate_python(composed(f"corpus/{name}"))
    assert corpus and corpus.keys() <= ROW_TYPES.keys()


def lines_of(path: Path) -> list[str]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return content.decode("utf-8").removesuffix("\n").split("\n")


def test_text_counts_agree_with_another_way_to_count(align_data: Path, tmp_path: Path) -> None:
    def kept(name: str) -> Rows:
        return load_rows(DataSpec(sources={name: source(name, align_data)}), Text, tmp_path)

    play = "\n".join(lines_of(align_data / "tinyshakespeare/input.txt.gz"))
    speeches = [speech for speech in re.split(r"\n\s*\n", play) if speech.strip()]
    rows = kept("tinyshakespeare")
    assert (rows.report.rows_in, rows.report.kept) == (len(speeches), len(set(speeches)))
    assert {row.text for row in rows.train} == set(speeches)

    reviews = [
        json.loads(line)["review"] for line in lines_of(align_data / "nsmc_raw/nsmc_raw_sample.jsonl.gz")
    ]
    rows = kept("nsmc")
    assert rows.report.rows_in == len(reviews) == 39123
    assert {row.text for row in rows.train} == {normalize("NFC", text) for text in reviews if text.strip()}
    assert (
        rows.report.sources["nsmc"].composed == sum(normalize("NFC", text) != text for text in reviews) == 3
    )

    titles = lines_of(align_data / "korean_hate_speech/train.news_title.txt")
    rows = kept("korean_news_titles")
    assert rows.report.rows_in == len(titles) == 7896
    assert rows.report.kept == len({title for title in titles if title.strip('"')})
    assert not any(row.text.startswith('"') and row.text.endswith('"') for row in rows.train[:100])


@pytest.mark.parametrize("name", ["alpaca_hh", "korean"])
def test_local_corpora_hold_together(align_data: Path, tmp_path: Path, name: str) -> None:
    corpus = CORPORA.validate_python(composed(f"corpus/{name}", str(align_data)))
    for entry, spec in corpus.items():
        assert card_problems(spec, tmp_path) == []
        rows = load_rows(spec, ROW_TYPES[entry], tmp_path, control_tokens=TOKENS)
        assert rows.report.rows_in == rows.report.kept + sum(rows.report.dropped.values())
        assert len(rows.train) + len(rows.held_out) == rows.report.kept
        assert not set(map(texts_of, rows.train)) & set(map(texts_of, rows.held_out))
        train, held_out = ({opening(row) for row in side} for side in (rows.train, rows.held_out))
        share = len(held_out) / len(train | held_out)  # openings are held out, and rows with them
        assert 0.5 * spec.held_out < share < 1.5 * spec.held_out


FIRST_SENTENCE = {"format": "text", "columns": {"text": "sentence1"}}
ODD: list[tuple[str, type[Row], str, dict[str, Any]]] = [
    (
        "dirty_real/conversation.missingturns.json",
        Conversation,
        r"json:1: turn 2 \(assistant\) is blank",
        {"format": "sharegpt"},
    ),
    ("dirty_real/xnli.dev.ko.tsv", Text, r"tsv:\d+: .*quot", {**FIRST_SENTENCE, "quoting": "minimal"}),
    ("dirty_real/sts-train.tsv.gz", Text, r"tsv.gz:\d+: .*quot", {**FIRST_SENTENCE, "quoting": "minimal"}),
    (
        "dirty_real/curse_dataset.txt",
        Text,
        r"txt:\d+: \d+ fields where the header has 2",
        {"format": "text", "delimiter": "|", "header": ["text", "label"]},
    ),
    (
        "kochatgpt/kochatgpt_1_SFT_conversation.jsonl",
        Conversation,
        "jsonl:1: not valid JSON",
        {"format": "messages"},
    ),
    (
        "kochatgpt/kochatgpt_seed_data.txt",
        Prompt,
        r"txt:\d+: .*is blank",
        {"format": "prompts", "columns": {"prompt": "text"}},
    ),
    (
        "square_ko/question_test_ood.json",
        Conversation,
        "no field 'messages'; the row has question",
        {"format": "messages"},
    ),
]


@pytest.mark.parametrize("path, row_type, message, fields", ODD, ids=[case[0] for case in ODD])
def test_real_oddities_are_refused_where_they_stand(
    align_data: Path, tmp_path: Path, path: str, row_type: type[Row], message: str, fields: dict[str, Any]
) -> None:
    spec = DataSpec(sources={"x": SourceSpec(path=str(align_data / path), **fields)})
    with pytest.raises(DataError, match=message):
        load_rows(spec, row_type, tmp_path)


# Raw rows as the README counts them.
COUNTED: list[tuple[str, dict[str, Any], int]] = [
    ("halueval/general_data.json.gz", {"format": "prompts", "columns": {"prompt": "user_query"}}, 4507),
    ("dirty_real/xnli.dev.ko.tsv", FIRST_SENTENCE, 2490),
    ("dirty_real/sts-train.tsv.gz", FIRST_SENTENCE, 5749),
    ("dirty_real/curse_dataset.txt", {"format": "text"}, 5825),  # "text|label", a line each
]


@pytest.mark.parametrize("path, fields, rows", COUNTED, ids=[case[0] for case in COUNTED])
def test_raw_rows_of_files_without_a_shipped_configuration(
    align_data: Path, tmp_path: Path, path: str, fields: dict[str, Any], rows: int
) -> None:
    spec = DataSpec(sources={"x": SourceSpec(path=str(align_data / path), **fields)})
    row_type = {"prompts": Prompt, "text": Text}.get(fields["format"], Conversation)
    assert load_rows(spec, row_type, tmp_path).report.rows_in == rows
