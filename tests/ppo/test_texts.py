"""How varied completions are, by hand and by brute force. Guards the specification's §7."""

import random

import pytest

from align.ppo.texts import self_bleu, text_metrics


def test_by_hand() -> None:
    found = text_metrics([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7], [1, 2]])
    assert found["text/distinct_1"] == pytest.approx(7 / 14)
    assert found["text/distinct_2"] == pytest.approx(6 / 11)
    assert found["text/repeated"] == 0.0
    assert found["text/same_opening"] == pytest.approx(2 / 3)


def test_a_loop_repeats_itself() -> None:
    assert text_metrics([[1, 2] * 10])["text/repeated"] == pytest.approx(15 / 17)


def test_nothing_said_is_no_error() -> None:
    assert set(text_metrics([]).values()) == {0.0}
    assert self_bleu([]) == self_bleu([[1, 2]]) == 0.0


def test_as_counted_one_by_one() -> None:
    stream = random.Random(0)
    said = [[stream.randrange(4) for _ in range(stream.randrange(1, 30))] for _ in range(20)]
    pairs = [(row[at], row[at + 1]) for row in said for at in range(len(row) - 1)]
    seen_before = runs = 0
    for row in said:
        for at in range(len(row) - 3):
            runs += 1
            seen_before += any(row[earlier : earlier + 4] == row[at : at + 4] for earlier in range(at))
    found = text_metrics(said)
    assert found["text/distinct_2"] == pytest.approx(len(set(pairs)) / len(pairs))
    assert found["text/repeated"] == pytest.approx(seen_before / runs)


def test_one_answer_to_everything_is_all_like_itself() -> None:
    stream = random.Random(0)
    varied = [[stream.randrange(1000) for _ in range(12)] for _ in range(20)]
    assert self_bleu([[5, 6, 7, 8, 9]] * 8) == pytest.approx(1)
    assert self_bleu(varied) < 0.05
    half = [*varied[:10], *[[5, 6, 7, 8, 9]] * 10]
    assert self_bleu(half) == pytest.approx(0.5, abs=0.05)


def test_self_bleu_as_counted_by_hand() -> None:
    """Papineni et al. 2002: clipped n-gram precisions, their geometric mean; no brevity here."""
    said = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [7, 2, 3, 4, 5]]
    first = (1 * 1 * 1 * 1) ** 0.25  # 1 2 3 4 is in the second, 2 3 4 5 in the third
    second = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25  # and likewise the third
    assert self_bleu(said) == pytest.approx((first + 2 * second) / 3)
