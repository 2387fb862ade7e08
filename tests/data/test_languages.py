"""Languages: which one a text is in, and what it costs in tokens."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from align.data.language_tokens import language_tokens, token_warnings
from align.data.languages import hangul_count, language_of
from align.data.records import Conversation, Message, Row
from align.models.spec import TokenizerSpec
from align.models.tokenizer import build_tokenizer

KOREAN = [
    "우리 나라의 수도는 서울이고 가장 큰 항구는 부산이다.",
    "고양이는 창가에 앉아 지나가는 사람들을 바라보았다.",
    "내일은 비가 온다고 하니 우산을 챙겨 가세요.",
]
ENGLISH = ["The capital is far from the largest harbour.", "The cat watched people pass by the window."]


def dialogue(question: str, answer: str) -> Conversation:
    return Conversation((Message("user", question), Message("assistant", answer)))


@pytest.mark.parametrize(
    "text, expected, found",
    [
        ("대한민국 GDP growth 2024", ["en", "ko"], "ko"),  # lingua by itself says English
        ("대한민국 GDP growth 2024", ["en"], "ko"),
        ("나는 Python에서 for loop를 쓴다", ["en", "ko"], "ko"),
        ("The Korean word 사랑 means love", ["en", "ko"], "en"),
        ("ok", ["en", "ko"], "en"),
        ("12 + 30 = 42", ["en", "ko"], "und"),
        ("This is English in a Korean dataset", ["ko"], "und"),
        ("ㅋㅋㅋㅋ", ["en", "ko"], "ko"),
        ("Guten Tag, wie geht es Ihnen heute?", ["de", "en", "ko"], "de"),
        ("谁是你的开发者？", ["en", "zh"], "zh"),
    ],
)
def test_the_language_of_a_text(text: str, expected: Sequence[str], found: str) -> None:
    assert language_of(text, expected) == found


def test_hangul_is_counted_whole_and_in_letters() -> None:
    assert hangul_count("한글 hangul ㅎㅎ 123") == 4


def spelt_out(texts: Sequence[str]) -> float:
    """Tokens per Hangul character of a tokenizer without one merge: its UTF-8 bytes."""
    letters = [letter for text in texts for letter in text if hangul_count(letter)]
    return len("".join(letters).encode()) / len(letters)


def test_a_vocabulary_of_bytes_is_visibly_bad_for_korean_and_one_trained_on_korean_is_not() -> None:
    rows: list[Row] = [dialogue(text, text) for text in KOREAN]
    english = build_tokenizer(TokenizerSpec(vocab_size=400), ENGLISH * 20)
    bad = language_tokens(rows, english, ["ko"])
    assert bad["ko"].per_hangul == spelt_out(KOREAN) == 3.0
    assert "3.00 tokens per Hangul character" in token_warnings(bad)[0]
    korean = build_tokenizer(TokenizerSpec(vocab_size=600), KOREAN * 20)
    good = language_tokens(rows, korean, ["ko"])
    assert (good["ko"].per_hangul or 9) < 1.0 and token_warnings(good) == []


def test_rows_are_counted_by_language_and_what_is_too_long_is_too() -> None:
    rows: list[Row] = [dialogue(text, "네.") for text in KOREAN] + [
        dialogue(text, "Yes.") for text in ENGLISH
    ]
    tokenizer = build_tokenizer(TokenizerSpec(vocab_size=400), ENGLISH)

    def longer_than_the_umbrella(part: Sequence[Conversation]) -> int:
        return sum(len(row.messages[0].content) > len(KOREAN[2]) for row in part)

    found = language_tokens(rows, tokenizer, ["en", "ko"], longer_than_the_umbrella)
    assert {tag: (item.rows, item.too_long) for tag, item in found.items()} == {"ko": (3, 2), "en": (2, 2)}
    content = [message.content for row in rows for message in row.messages]  # type: ignore[union-attr]
    assert sum(item.characters for item in found.values()) == sum(map(len, content))
    encoded = tokenizer(content, add_special_tokens=False)["input_ids"]
    assert sum(item.tokens for item in found.values()) == sum(map(len, encoded))
    assert found["ko"].as_dict()["too_long_rate"] == pytest.approx(2 / 3)


def test_a_real_korean_set_is_korean(align_data: Path) -> None:
    lines = (align_data / "ud_korean_kaist_text" / "ko_kaist_dev_test.txt").read_text(encoding="utf-8")
    tags = [language_of(line, ["en", "ko"]) for line in lines.splitlines()[:2000]]
    assert tags.count("ko") / len(tags) > 0.99
