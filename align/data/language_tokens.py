"""Language tokens: rows + a tokenizer -> what each language costs in tokens, and how many rows are too long.

A vocabulary that lacks a script falls back to bytes, and a Hangul character is three of them: Korean is then
slow, short of context, and learnt worse. The figure to look at is tokens per Hangul character: below 1 with a
vocabulary that knows Korean, 2 to 3 where bytes are spelt out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from align.data.languages import hangul_count, language_of
from align.data.records import Row, texts_of

LOOKED_AT = 1000  # rows, spread evenly over the data
TOO_MANY = 1.5  # tokens per Hangul character from which on it is worth a warning
BATCH = 64

CountTooLong = Callable[[Sequence[Any]], int]


@dataclass
class LanguageTokens:
    """What the rows of one language came to; `hangul_tokens` are those with at least a part of Hangul."""

    rows: int = 0
    too_long: int = 0
    characters: int = 0
    tokens: int = 0
    hangul: int = 0
    hangul_tokens: int = 0

    @property
    def per_hangul(self) -> float | None:
        """Tokens per Hangul character; None where there is none."""
        return self.hangul_tokens / self.hangul if self.hangul else None

    def as_dict(self) -> dict[str, Any]:
        """For languages.json: the counts and the two rates."""
        rates = {"tokens_per_hangul_character": self.per_hangul, "too_long_rate": self.too_long / self.rows}
        return {**asdict(self), **rates}

    def line(self, tag: str) -> str:
        """One line for people."""
        density = self.characters / max(self.tokens, 1)
        told = f"language {tag}: {self.rows} rows looked at, {density:.2f} characters per token"
        if self.per_hangul is not None:
            told += f", {self.per_hangul:.2f} tokens per Hangul character"
        return f"{told}, {self.too_long / self.rows:.1%} of rows too long"


def language_tokens(
    rows: Sequence[Row], tokenizer: Any, expected: Sequence[str], too_long: CountTooLong | None = None
) -> dict[str, LanguageTokens]:
    """Look at up to `LOOKED_AT` rows, the most frequent language first.

    Args:
        rows: what a stage learns from.
        tokenizer: a fast one of transformers.
        expected: language tags that the data's cards name.
        too_long: how many of some rows the stage leaves out for their length; None where it leaves out none.
    """
    groups: dict[str, list[Row]] = {}
    step = max(1, -(-len(rows) // LOOKED_AT))
    for number in range(0, len(rows), step):
        row = rows[number]
        groups.setdefault(language_of("\n".join(texts_of(row)), expected), []).append(row)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return {tag: _counted(part, tokenizer, too_long) for tag, part in ordered}


def token_warnings(found: Mapping[str, LanguageTokens]) -> list[str]:
    """What to tell a user whose tokenizer does not know Korean."""
    told = []
    for tag, counted in found.items():
        if counted.per_hangul is not None and counted.per_hangul >= TOO_MANY:
            told.append(
                f"WARNING: {counted.per_hangul:.2f} tokens per Hangul character in rows of language {tag}: "
                "this tokenizer spells Korean out in bytes; choose a base with Korean in its vocabulary"
            )
    return told


def _counted(rows: Sequence[Row], tokenizer: Any, too_long: CountTooLong | None) -> LanguageTokens:
    counted = LanguageTokens(rows=len(rows), too_long=too_long(rows) if too_long else 0)
    texts = [text for row in rows for text in texts_of(row)]
    for start in range(0, len(texts), BATCH):
        part = texts[start : start + BATCH]
        encoded = tokenizer(part, add_special_tokens=False, return_offsets_mapping=True)
        for text, spans in zip(part, encoded["offset_mapping"], strict=True):
            counted.characters += len(text)
            counted.tokens += len(spans)
            if in_text := hangul_count(text):
                counted.hangul += in_text
                counted.hangul_tokens += sum(hangul_count(text[begin:end]) > 0 for begin, end in spans)
    return counted
