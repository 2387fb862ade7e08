"""Texts: the tokens a policy said -> how varied they are, to see it collapse onto few phrases.

Source  distinct-n: Li et al. 2016, arXiv:1510.03055, §5.1; self-BLEU: Zhu et al. 2018, arXiv:1802.01886, §3.1
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from sacrebleu.metrics.bleu import BLEU

OPENING = 5  # tokens
REPEATED = 4  # tokens in a row
COMPARED = 50  # completions that are compared with one another: the work grows with the square


def text_metrics(completions: Sequence[Sequence[int]]) -> dict[str, float]:
    """How varied completions are. Each is a list of token ids.

    Returns:
        text/distinct_1, text/distinct_2: distinct tokens and pairs of neighbours, as shares of all of them.
        text/repeated: share of four tokens in a row that stood earlier in the same completion.
        text/same_opening: share of completions with the most common first five tokens.
    """
    openings = Counter(tuple(completion[:OPENING]) for completion in completions)
    runs = [list(_runs(completion)) for completion in completions]
    return {
        "text/distinct_1": _distinct(token for completion in completions for token in completion),
        "text/distinct_2": _distinct(pair for completion in completions for pair in pairwise(completion)),
        "text/repeated": _share(sum(len(own) - len(set(own)) for own in runs), sum(map(len, runs))),
        "text/same_opening": _share(max(openings.values(), default=0), len(completions)),
    }


def self_bleu(completions: Sequence[Sequence[int]]) -> float:
    """How much the first completions resemble one another: the mean BLEU of each against all others, 0 to 1.

    It tells something of a run where the prompts are the same ones every time. Each is a list of token ids.
    """
    said = [" ".join(map(str, completion)) for completion in completions[:COMPARED]]
    if len(said) < 2:
        return 0.0
    bleu = BLEU(tokenize="none", effective_order=True)  # of short completions no 4-grams are asked
    scores = [bleu.sentence_score(own, said[:at] + said[at + 1 :]).score for at, own in enumerate(said)]
    return min(1.0, sum(scores) / len(scores) / 100)  # it may say 100.00000000000004


def _runs(completion: Sequence[int]) -> Iterable[tuple[int, ...]]:
    starts = range(len(completion) - REPEATED + 1)
    return (tuple(completion[start : start + REPEATED]) for start in starts)


def _distinct(items: Iterable[object]) -> float:
    counted = Counter(items)
    return _share(len(counted), counted.total())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
