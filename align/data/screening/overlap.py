"""Overlap: texts to train on + evaluation prompts -> which prompts leaked into which texts.

A prompt has leaked where a text shares a run of words with it: 13, or 8 where the prompt has fewer than 13
words or is Korean, whose words are whole phrases; below 8 words the whole prompt, and below 5 a turn that is
the prompt and nothing else, for so few words meet by chance. Runs that are mostly numbers (1 2 3 4 5 6 7 8)
do not count, unless a prompt has no others.

Source: Brown et al. 2020, arXiv:2005.14165, appendix C (13 words)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from align.data.languages import is_korean
from align.data.screening.words import Hashes, Indices, Words, hashed_words, words_of

LONG_RUN, SHORT_RUN, WHOLE_TURN = 13, 8, 5
_FILTER_BITS = 20
_BATCH = 400  # texts hashed at once: their tables fit into a processor's cache
_TURN = 0  # stands for a run that is a whole turn


@dataclass(frozen=True, order=True)
class Leak:
    """A text shares words with an evaluation prompt.

    Attributes:
        text: index of the text among those looked through.
        suite: the evaluation set.
        prompt: index of the prompt in its set.
        words: length of the shared run that was looked for; 0 where the whole text is the prompt.
    """

    text: int
    suite: str
    prompt: int
    words: int


def run_length(prompt: str) -> int:
    """How many words in a row have to be shared with this prompt; 0 for a turn that is nothing else."""
    count = len(words_of(prompt))
    if count < WHOLE_TURN:
        return _TURN
    if count < SHORT_RUN:
        return count
    return SHORT_RUN if count < LONG_RUN or is_korean(prompt) else LONG_RUN


def telling_runs(words: Sequence[str], length: int) -> list[int]:
    """Where the runs begin that count: those mostly of words with letters, or all if there are none."""
    lettered = np.cumsum([0, *(any(map(str.isalpha, word)) for word in words)])
    runs = range(len(words) - length + 1)
    return [start for start in runs if 2 * (lettered[start + length] - lettered[start]) > length] or list(
        runs
    )


class Overlap:
    """Evaluation prompts, prepared to be found in texts."""

    def __init__(self, suites: Mapping[str, Sequence[str]]) -> None:
        """`suites` names evaluation sets, each with the text of its prompts."""
        self._prompts = [
            (suite, number) for suite, prompts in suites.items() for number in range(len(prompts))
        ]
        texts = [prompt for prompts in suites.values() for prompt in prompts]
        lengths = [run_length(text) for text in texts]
        words = hashed_words(texts)
        self._tables = {
            length: _Table(
                *_keys(words, texts, [number for number, own in enumerate(lengths) if own == length], length)
            )
            for length in sorted(set(lengths))
        }

    def leaks(self, texts: Sequence[str]) -> list[Leak]:
        """Every prompt that leaked into each text, once, in order of text, set and prompt."""
        return [
            replace(leak, text=first + leak.text)
            for first in range(0, len(texts), _BATCH)
            for leak in self._leaks(texts[first : first + _BATCH])
        ]

    def _leaks(self, texts: Sequence[str]) -> list[Leak]:
        words = hashed_words(texts)
        found: set[Leak] = set()
        for length, table in self._tables.items():
            if length == _TURN:
                hits = [(int(text), value) for text, value in table.hits(words.wholes())]
            else:
                ends = length - 1
                hits = [
                    (int(words.text[place]), value)
                    for place, value in table.hits(words.windows(length))
                    if words.text[place] == words.text[place + ends]
                ]
            for text, value in hits:
                found.update(Leak(text, *self._prompts[owner], length) for owner in table.owners(value))
        return sorted(found)


def _keys(words: Words, texts: Sequence[str], prompts: Sequence[int], length: int) -> tuple[Hashes, Indices]:
    """Hashes to look for, and the prompt that each belongs to."""
    if length == _TURN:
        wholes = words.wholes()[list(prompts)]
        return wholes[wholes != 0], np.array(prompts)[wholes != 0]
    hashes, places = words.runs(length)
    chosen: list[int] = []
    for prompt in prompts:
        first = int(np.searchsorted(places, words.bounds[prompt]))
        chosen += [first + start for start in telling_runs(words_of(texts[prompt]), length)]
    return hashes[chosen], words.text[places[chosen]]


class _Table:
    """Hashes, sorted, with their owners; a bit table tells most others at one look."""

    def __init__(self, hashes: Hashes, owners: Indices) -> None:
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._owners = hashes[order], owners[order]
        self._seen = np.zeros(1 << _FILTER_BITS, np.bool_)
        self._seen[_short(hashes)] = True

    def hits(self, hashes: Hashes) -> list[tuple[int, np.uint64]]:
        """(place, hash) of those that are in the table."""
        if not len(self._hashes):
            return []
        likely = np.flatnonzero(self._seen[_short(hashes)])
        places = np.minimum(np.searchsorted(self._hashes, hashes[likely]), len(self._hashes) - 1)
        there = likely[self._hashes[places] == hashes[likely]]
        return list(zip(there.tolist(), hashes[there], strict=True))

    def owners(self, value: np.uint64) -> list[int]:
        """The prompts that a hash belongs to."""
        low, high = (np.searchsorted(self._hashes, value, side=side) for side in ("left", "right"))
        return self._owners[low:high].tolist()


def _short(hashes: Hashes) -> Hashes:
    return hashes >> np.uint64(64 - _FILTER_BITS)
