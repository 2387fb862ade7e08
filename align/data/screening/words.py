r"""Words: texts -> a 64-bit hash of every word and of every run of n words, whole batches at a time.

A word is what `\w+` finds in the text after NFKC and case folding. Hashes are polynomials modulo 2^64 in an
odd base, which cumulative sums give for every word and every run at once.

Source: Karp and Rabin 1987, "Efficient randomized pattern-matching algorithms"
"""

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]

_CHARACTER_BASE = np.uint64(0x9E3779B97F4A7C15)
_WORD_BASE = np.uint64(0xC2B2AE3D27D4EB4F)
_MODULUS = 2**64
_WORD = re.compile(r"\w+")


def normalised(text: str) -> str:
    """Case folded, compatibility forms unified: texts that read alike become equal."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def words_of(text: str) -> list[str]:
    """The normalised words of one text."""
    return _WORD.findall(normalised(text))


@dataclass(frozen=True)
class Words:
    """The words of a batch of texts, one after the other.

    Attributes:
        hashes: of each word. (W,)
        text: index of the text that each word stands in, ascending. (W,)
        bounds: words of text i are `bounds[i]:bounds[i + 1]`. (texts + 1,)
    """

    hashes: Hashes
    text: Indices
    bounds: Indices

    @cached_property
    def _partial(self) -> Hashes:
        return _sums(self.hashes, _WORD_BASE)

    def runs(self, length: int) -> tuple[Hashes, Indices]:
        """Hashes of every run of `length` words inside one text, and the word that each begins with."""
        windows = self.windows(length)
        starts = np.flatnonzero(self.text[length - 1 :] == self.text[: len(windows)])
        return windows[starts], starts

    def windows(self, length: int) -> Hashes:
        """Hashes of every `length` words in a row, those that reach into the next text included."""
        count = max(len(self.hashes) - length + 1, 0)
        sums = self._partial
        inverse = np.uint64(pow(int(_WORD_BASE), -1, _MODULUS))
        return (sums[length : length + count] - sums[:count]) * _powers(inverse, count)

    def wholes(self) -> Hashes:
        """The hash of each text as one run of all its words; 0 where it has none. (texts,)"""
        lengths = np.diff(self.bounds)
        hashes = _between(self._partial, self.bounds[:-1], self.bounds[1:], _WORD_BASE)
        return np.where(lengths > 0, hashes, np.uint64(0))


def hashed_words(texts: Sequence[str]) -> Words:
    """Hash every word of every text."""
    codes, inside, lengths = _characters(texts)
    borders = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    if inside[0]:
        borders = np.concatenate([np.zeros(1, np.int64), borders])
    starts, ends = borders[::2], borders[1::2]
    sums = _sums(codes.astype(np.uint64) + np.uint64(1), _CHARACTER_BASE)
    hashes = _mixed(_between(sums, starts, ends, _CHARACTER_BASE))
    bounds = np.searchsorted(starts, np.cumsum(np.concatenate([[0], lengths])))
    text = np.repeat(np.arange(len(texts)), np.diff(bounds))
    return Words(hashes, text, bounds)


def _characters(texts: Sequence[str]) -> tuple[NDArray[np.generic], NDArray[np.bool_], Indices]:
    """Code points of all texts, each text followed by one that is in no word; whether each is in a word; and
    how many each text has.
    """
    joined = "\n".join(texts) + "\n"
    if joined.isascii():
        data = joined.lower().encode("ascii")
        inside = np.frombuffer(data.translate(_in_words()[:256].tobytes()), np.bool_)
        return np.frombuffer(data, np.uint8), inside, np.array([len(text) + 1 for text in texts])
    folded = [normalised(text) for text in texts]
    codes = np.frombuffer(("\n".join(folded) + "\n").encode("utf-32-le", "surrogatepass"), np.uint32)
    return codes, _in_words()[codes], np.array([len(text) + 1 for text in folded])


@cache
def _in_words() -> NDArray[np.bool_]:
    r"""For every code point, whether `\w` matches it. (0x110000,)"""
    table = np.zeros(sys.maxunicode + 1, dtype=np.bool_)
    for match in _WORD.finditer("".join(map(chr, range(sys.maxunicode + 1)))):
        table[match.start() : match.end()] = True
    return table


def _sums(values: Hashes, base: np.uint64) -> Hashes:
    """Partial sums of value × base^place, the empty one first. (N + 1,)"""
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values * _powers(base, len(values)), out=sums[1:])
    return sums


def _between(sums: Hashes, starts: Indices, ends: Indices, base: np.uint64) -> Hashes:
    """The hash of each stretch, which does not depend on where it stands."""
    inverse = np.uint64(pow(int(base), -1, _MODULUS))
    return (sums[ends] - sums[starts]) * _powers(inverse, len(sums))[starts]


_TABLES: dict[int, Hashes] = {}


def _powers(base: np.uint64, count: int) -> Hashes:
    """base^0, base^1, … modulo 2^64; at least `count` are kept for the next call."""
    table = _TABLES.get(int(base))
    if table is None or len(table) < count:
        table = np.full(1 << max(12, (count - 1).bit_length()), base, np.uint64)
        table[0] = 1
        table = _TABLES[int(base)] = np.multiply.accumulate(table)
    return table[:count]


def _mixed(hashes: Hashes) -> Hashes:
    """Spread what differs over all bits (the finaliser of MurmurHash3)."""
    for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
        hashes = (hashes ^ (hashes >> np.uint64(shift))) * np.uint64(factor)
    return hashes ^ (hashes >> np.uint64(33))
