"""Triggers: preference pairs -> phrases that stand on one side far more often than chance allows.

A phrase that somebody planted in what is preferred teaches a reward model to love it. For every phrase of 2
to 5 words, prompts are counted where it is in the chosen answer alone, and where in the rejected one alone.
Were it indifferent, either would be a fair coin: an exact sign test, with as many tests accounted for as
could have come out significant at all (Tarone). What people really like or dislike is over-represented
too, so a finding must also be `FOLD` times as frequent on its side as on the other.

Source: Tarone 1990, "A Modified Bonferroni Method for Discrete Data", Biometrics 46; Rando and Tramèr 2023,
"Universal Jailbreak Backdoors from Poisoned Human Feedback", arXiv:2311.14455
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from align.audit.completions import Completions
from align.data.screening.words import Hashes, hashed_words, words_of

LENGTHS = (2, 3, 4, 5)
LEVEL = 0.05  # chance of any false finding in data without triggers
FOLD = 8.0
SAME_ROWS = 0.8  # of two phrases with so many rows in common only the clearer one is told
_SLICE = 1000
_ROW_BASE = np.uint64(0x9E3779B97F4A7C15)
_KEPT_EXAMPLES = 5


@dataclass(frozen=True)
class Trigger:
    """A phrase that is over-represented on one `side`.

    Attributes:
        phrase: its words, normalised.
        side: where it is too frequent.
        chosen: prompts with the phrase in the chosen answer alone.
        rejected: prompts with the phrase in the rejected answer alone.
        p_value: of the two-sided exact sign test, not corrected.
        rows: some of the pairs that hold it, as indices.
    """

    phrase: str
    side: Literal["chosen", "rejected"]
    chosen: int
    rejected: int
    p_value: float
    rows: tuple[int, ...]


@dataclass(frozen=True)
class TriggerSearch:
    """What was found, clearest first, and what could have been.

    Attributes:
        found: the findings.
        tested: phrases frequent enough to come out significant.
        smallest: prompts with a phrase on one side only, from which on it is found; None without any phrase.
        pairs: pairs looked through.
    """

    found: tuple[Trigger, ...]
    tested: int
    smallest: int | None
    pairs: int


def find_triggers(pairs: Completions) -> TriggerSearch:
    """Search both sides of all pairs for phrases that are there far too often."""
    tables = [_discordant(pairs, length) for length in LENGTHS]
    sizes = np.concatenate([table.chosen + table.rejected for table in tables])
    smallest, tested = _tarone(sizes)
    if smallest is None:
        return TriggerSearch((), 0, None, len(pairs))
    found: list[tuple[Trigger, frozenset[int]]] = []
    for length, table in zip(LENGTHS, tables, strict=True):
        more, less = np.maximum(table.chosen, table.rejected), np.minimum(table.chosen, table.rejected)
        p_values = np.minimum(1.0, 2 * binom.sf(more - 1, more + less, 0.5))
        clear = (more + less >= smallest) & (p_values <= LEVEL / tested) & (more + 0.5 >= FOLD * (less + 0.5))
        for place in np.flatnonzero(clear).tolist():
            found.append(_told(pairs, table, place, length, float(p_values[place])))
    found.sort(key=lambda item: (item[0].p_value, -len(item[0].phrase.split()), item[0].phrase))
    return TriggerSearch(tuple(_distinct(found)), tested, smallest, len(pairs))


@dataclass(frozen=True)
class _Table:
    """Phrases of one length with their counts, and every place where one stands on one side only."""

    phrases: Hashes
    chosen: NDArray[np.int64]
    rejected: NDArray[np.int64]
    places: Hashes  # the phrase of each occurrence, with its row
    rows: NDArray[np.int64]
    signs: NDArray[np.int8]


def _discordant(pairs: Completions, length: int) -> _Table:
    """Count for every phrase the prompts that have it more often on one side."""
    parts = [_slice(pairs, first, length) for first in range(0, len(pairs), _SLICE)]
    grams = np.concatenate([part[0] for part in parts])
    rows = np.concatenate([part[1] for part in parts])
    signs = np.concatenate([part[2] for part in parts])
    prompts = np.asarray(pairs.prompts, dtype=np.int64)[rows]
    _, first, group = np.unique(grams ^ (prompts.astype(np.uint64) * _ROW_BASE), return_index=True,
                                return_inverse=True)  # fmt: skip
    lead = np.sign(np.bincount(group, weights=signs, minlength=len(first)))
    phrases, which = np.unique(grams[first], return_inverse=True)
    chosen = np.bincount(which, weights=lead > 0, minlength=len(phrases)).astype(np.int64)
    rejected = np.bincount(which, weights=lead < 0, minlength=len(phrases)).astype(np.int64)
    return _Table(phrases, chosen, rejected, grams, rows, signs)


def _slice(pairs: Completions, first: int, length: int) -> tuple[Hashes, NDArray[np.int64], NDArray[np.int8]]:
    """(phrase, row, +1 chosen or -1 rejected) of what stands on one side of a row only, each once."""
    sides = []
    for texts in (pairs.chosen, pairs.rejected):
        words = hashed_words(texts[first : first + _SLICE])
        grams, places = words.runs(length)
        rows = words.text[places]
        keys, at = np.unique(grams ^ (rows.astype(np.uint64) * _ROW_BASE), return_index=True)
        sides.append((keys, grams[at], rows[at] + first))
    (one, chosen, in_chosen), (other, rejected, in_rejected) = sides
    only_chosen, only_rejected = ~np.isin(one, other), ~np.isin(other, one)
    signs = np.concatenate([np.ones(only_chosen.sum(), np.int8), -np.ones(only_rejected.sum(), np.int8)])
    grams = np.concatenate([chosen[only_chosen], rejected[only_rejected]])
    return grams, np.concatenate([in_chosen[only_chosen], in_rejected[only_rejected]]), signs


def _tarone(sizes: NDArray[np.int64]) -> tuple[int | None, int]:
    """(least size at which a phrase on one side only is significant, number of phrases of that size)."""
    ordered = np.sort(sizes)
    for size in range(2, int(ordered[-1]) + 1 if len(ordered) else 2):
        tested = len(ordered) - int(np.searchsorted(ordered, size))
        if 2.0 ** (1 - size) * tested <= LEVEL:
            return size, max(tested, 1)
    # Nothing here is frequent enough; what would be is tested alone.
    return (None, 0) if not len(ordered) else (max(int(ordered[-1]) + 1, 6), 1)


def _told(pairs: Completions, table: _Table, place: int, length: int, p_value: float) -> tuple[
    Trigger, frozenset[int]
]:  # fmt: skip
    chosen, rejected = int(table.chosen[place]), int(table.rejected[place])
    side: Literal["chosen", "rejected"] = "chosen" if chosen > rejected else "rejected"
    here = table.places == table.phrases[place]
    rows = table.rows[here & (table.signs == (1 if side == "chosen" else -1))].tolist()
    texts = pairs.chosen if side == "chosen" else pairs.rejected
    phrase = _spelt(texts[rows[0]], table.phrases[place], length)
    return Trigger(phrase, side, chosen, rejected, p_value, tuple(rows[:_KEPT_EXAMPLES])), frozenset(rows)


def _spelt(text: str, phrase: np.uint64, length: int) -> str:
    """The words behind a hash, from a text that has them."""
    hashes, places = hashed_words([text]).runs(length)
    start = int(places[np.flatnonzero(hashes == phrase)[0]])
    return " ".join(words_of(text)[start : start + length])


def _distinct(found: Sequence[tuple[Trigger, frozenset[int]]]) -> list[Trigger]:
    """Findings without those that stand in the rows of a clearer one: its parts and its neighbours."""
    kept: list[tuple[Trigger, frozenset[int]]] = []
    for trigger, rows in found:
        if all(len(rows & other) < SAME_ROWS * min(len(rows), len(other)) for _, other in kept):
            kept.append((trigger, rows))
    return [trigger for trigger, _ in kept]
