"""Languages: is a tag well formed (BCP 47), and is its first part a language? And in which one is a text?

Source: RFC 5646; two-letter codes of ISO 639-1; lingua (n-grams of one to five characters)
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lingua import LanguageDetector

UNDETERMINED = "und"
HANGUL_SHARE = 0.25  # of the letters, from which on a text counts as Korean
BEGINNING = 1000  # characters that decide

_HANGUL = re.compile("[\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f]")
TAG = re.compile(r"([a-z]{2,3})(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?")

_TWO_LETTERS = """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv
    dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig
    ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh
    mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru
    rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug
    uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
CODES = frozenset(_TWO_LETTERS.split())


def is_language(tag: str) -> bool:
    """Whether a tag such as `ko`, `zh-Hant`, `pt-BR` names a language; three letters are taken on trust."""
    match = TAG.fullmatch(tag)
    return match is not None and (len(match.group(1)) == 3 or match.group(1) in CODES)


def hangul_count(text: str) -> int:
    """Characters of a text that are Hangul: syllables, and the letters they are made of."""
    return len(_HANGUL.findall(text))


def is_korean(text: str) -> bool:
    """Whether a quarter of the letters are Hangul: a Korean sentence may be full of English names."""
    if text.isascii():
        return False
    hangul = hangul_count(text)
    return hangul > 0 and hangul >= HANGUL_SHARE * sum(map(str.isalpha, text))


def language_of(text: str, expected: Sequence[str]) -> str:
    """The language that a text is in, of those expected; `und` where it has no letters (ISO 639-2).

    Korean is told by its script: a quarter of the letters suffices, as a Korean sentence may be full of
    English names ("대한민국 GDP growth 2024") and an English one that quotes Korean has fewer. With so much
    Hangul the answer is `ko`, expected or not; lingua has the rest, among the others expected.

    Args:
        text: any text; its beginning decides.
        expected: language tags; those lingua does not know cannot be found.
    """
    start = text[:BEGINNING]
    if not any(map(str.isalpha, start)):
        return UNDETERMINED
    if is_korean(start):
        return "ko"
    others = tuple(sorted({tag.partition("-")[0] for tag in expected} - {"ko"}))
    if len(others) < 2:
        return others[0] if others else UNDETERMINED
    found = _detector(others).detect_language_of(start)
    return UNDETERMINED if found is None else str(found.iso_code_639_1.name.lower())


@cache
def _detector(tags: tuple[str, ...]) -> "LanguageDetector":
    """lingua's models of two languages take 75 MiB once they are asked, of seven 145 MiB."""
    from lingua import IsoCode639_1, LanguageDetectorBuilder  # noqa: PLC0415  (of no use where one is expected)

    known = [code for tag in tags if (code := getattr(IsoCode639_1, tag.upper(), None)) is not None]
    return LanguageDetectorBuilder.from_iso_codes_639_1(*known).build()
