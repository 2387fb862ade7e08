"""Label noise: preference pairs -> which labels look wrong, and, where that can be known, how many are.

A linear pairwise model over word n-grams and length learns from four fifths of the prompts and judges the
rest; its margin for a label is low where everything else it read speaks against it (cross-fitting). The rate
comes from anchor points: where the model is surest, an ordinary label is never wrong, so the share of labels
that contradict it there is the share of labels turned around at random. It counts neither wrong labels that
follow a pattern, which the model learns, nor close calls on which people differ. Without such a plateau the
rate cannot be told from what the model does not know, and none is given.

Source: Northcutt et al. 2021, "Confident Learning", arXiv:1911.00068; Liu and Tao 2016, "Classification with
Noisy Labels by Importance Reweighting", arXiv:1411.7718 (anchor points)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from scipy.stats import binomtest
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from align.audit.completions import Completions
from align.data.languages import is_korean

FOLDS = 5
FEATURES = 2**18
PENALTY = 1.0  # scikit-learn's C; AUC on real pairs with planted flips is flat from 0.1 to 3
CLEAREST = 0.3  # share of the pairs taken for anchors: those with the largest margins
LEAST_AGREEMENT = 0.7  # of all labels with the model
WIDEST = 0.03  # half an interval
STEEPEST = 0.05  # more disagreement in the lower half of the anchors than in the upper one
FEWEST_PAIRS = 200
BINS = 10


@dataclass(frozen=True)
class NoiseRate:
    """The estimated share of labels turned around, with its 95 % interval (Wilson)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelNoise:
    """What the cross-fitted margins say.

    Attributes:
        margins: log odds of each label, from a model that has not seen its prompt. (N,)
        agreement: share of the labels that the model finds likelier than not.
        disagreement: the same for the other ones, by tenths of the pairs, the clearest first. (BINS,)
        rate: of labels turned around; None where it is not identifiable.
        why_not: what keeps the rate from being identified, in words.
    """

    margins: NDArray[np.float64]
    agreement: float
    disagreement: tuple[float, ...]
    rate: NoiseRate | None
    why_not: tuple[str, ...]

    def most_suspicious(self, count: int) -> list[int]:
        """Indices of the pairs whose labels look most wrong, worst first."""
        return np.argsort(self.margins, kind="stable")[:count].tolist()


def label_noise(pairs: Completions, *, seed: int = 0) -> LabelNoise:
    """Cross-fit the model and read its margins.

    Raises:
        ValueError: there are fewer than FEWEST_PAIRS pairs, or fewer prompts than folds.
    """
    if len(pairs) < FEWEST_PAIRS or len(set(pairs.prompts)) < FOLDS:
        raise ValueError(f"label noise needs {FEWEST_PAIRS} pairs of {FOLDS} prompts (got {len(pairs)})")
    margins = cross_fitted_margins(features(pairs), np.asarray(pairs.prompts), seed)
    by_clearness = (margins < 0)[np.argsort(-np.abs(margins), kind="stable")]
    agreement = float((margins > 0).mean())
    rate, why_not = _rate(by_clearness, agreement)
    bins = tuple(float(part.mean()) for part in np.array_split(by_clearness, BINS))
    return LabelNoise(margins, agreement, bins, rate, why_not)


def features(pairs: Completions) -> csr_matrix:
    """Chosen less rejected: normalised n-gram counts, and the log ratio of lengths. (N, FEATURES + 1)"""
    sample = " ".join(pairs.chosen[:200])
    grams = {"analyzer": "char_wb", "ngram_range": (2, 4)} if is_korean(sample) else {"ngram_range": (1, 2)}
    vectoriser = HashingVectorizer(
        n_features=FEATURES, alternate_sign=False, token_pattern=r"\w+|[^\w\s]", **grams
    )
    counts = vectoriser.transform(pairs.chosen) - vectoriser.transform(pairs.rejected)
    lengths = [
        [np.log1p(len(one)) - np.log1p(len(other))]
        for one, other in zip(pairs.chosen, pairs.rejected, strict=True)
    ]
    return hstack([counts, csr_matrix(lengths)]).tocsr()


def cross_fitted_margins(
    differences: csr_matrix, prompts: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """The log odds of every label by a model fitted without any pair of its prompt. (N,)

    Half of the pairs are shown the other way round: a classifier needs two classes, and with neither
    intercept nor order the optimum is the same.
    """
    random = np.random.default_rng(seed)
    numbers = np.unique(prompts, return_inverse=True)[1]
    folds = random.permutation(np.arange(numbers.max() + 1) % FOLDS)[numbers]
    turned = random.choice([-1.0, 1.0], differences.shape[0])
    margins = np.zeros(differences.shape[0])
    for fold in range(FOLDS):
        learnt = np.flatnonzero(folds != fold)
        shown = differences[learnt].multiply(turned[learnt][:, None]).tocsr()
        model = LogisticRegression(C=PENALTY, fit_intercept=False, max_iter=300)
        model.fit(shown, turned[learnt])
        judged = np.flatnonzero(folds == fold)
        margins[judged] = differences[judged] @ model.coef_[0]
    return margins


def _rate(by_clearness: NDArray[np.bool_], agreement: float) -> tuple[NoiseRate | None, tuple[str, ...]]:
    """The rate among the clearest pairs, or why there is none."""
    anchors = by_clearness[: int(CLEAREST * len(by_clearness))]
    upper, lower = np.array_split(anchors, 2)
    interval = binomtest(int(anchors.sum()), len(anchors)).proportion_ci(method="wilson")
    rate = NoiseRate(float(anchors.mean()), float(interval.low), float(interval.high))
    why_not = []
    if agreement < LEAST_AGREEMENT:
        why_not.append(
            f"the model agrees with {agreement:.0%} of the labels only: what looks like noise may be what so "
            "simple a model does not understand"
        )
    if rate.high - rate.low > 2 * WIDEST:
        why_not.append(f"{len(anchors)} clear pairs are too few: {rate.low:.1%} to {rate.high:.1%}")
    if lower.mean() - upper.mean() > STEEPEST:
        why_not.append(
            f"labels still get better the clearer a pair is ({lower.mean():.1%}, then {upper.mean():.1%} "
            "against the model): no pairs are so clear that only a turned label is wrong"
        )
    return (None, tuple(why_not)) if why_not else (rate, ())
