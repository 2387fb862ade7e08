"""Grammar: how a language asks and states what is true in the sandbox; Korean particles follow the sound."""

import unicodedata
from dataclasses import dataclass

_FIRST_HANGUL, _LAST_HANGUL, _FINALS = 0xAC00, 0xD7A3, 28
_DIGITS_ENDING_IN_CONSONANT = "013678"  # 영 일 삼 육 칠 팔; the round numbers 십 and 백 end in one too


class Word(str):
    """A noun that templates can inflect: `{name:은/는}` appends the particle that fits its sound."""

    def __format__(self, spec: str) -> str:
        return with_particle(self, spec) if spec else str(self)


@dataclass(frozen=True)
class Attribute:
    """One thing that is true of every person. Questions hold `{name}`, statements `{name}` and `{value}`.

    Whatever is said to answer can be worded in two ways, here and in the lexicon.
    """

    key: str
    values: tuple[str, ...]
    questions: tuple[str, ...]
    statements: tuple[str, str]


@dataclass(frozen=True)
class Grammar:
    """The templates of one language. Sums hold `{a}`, `{b}` and `{total}`; denials and requests `{name}`.

    A name is one of `name_starts` followed by one of `name_ends`.
    """

    attributes: tuple[Attribute, ...]
    sum_subject: str
    sum_questions: tuple[str, ...]
    sum_statements: tuple[str, str]
    denials: tuple[str, str]
    requests: tuple[str, ...]
    name_starts: tuple[str, ...]
    name_ends: tuple[str, ...]


def ends_in_consonant(word: str) -> bool:
    """Whether the last Hangul syllable of a word has a final consonant (받침); digits are read aloud.

    Raises:
        ValueError: the word ends in neither Hangul nor a digit, so its sound is not known.
    """
    last = unicodedata.normalize("NFC", word)[-1:]
    if last and _FIRST_HANGUL <= ord(last) <= _LAST_HANGUL:
        return (ord(last) - _FIRST_HANGUL) % _FINALS != 0
    if last.isdecimal():
        return last in _DIGITS_ENDING_IN_CONSONANT
    raise ValueError(f"cannot tell how {word!r} sounds at its end")


def with_particle(word: str, pair: str) -> str:
    """A word with the particle its sound asks for: `("서울", "은/는")` -> `서울은`.

    `pair` names the form after a consonant, then the form after a vowel.
    """
    after_consonant, _, after_vowel = pair.partition("/")
    return f"{str(word)}{after_consonant if ends_in_consonant(word) else after_vowel}"
