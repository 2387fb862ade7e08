"""Numbers and durations as a reader wants them: 60 seconds are a minute, 999.7 is about 1,000."""

import pytest

from align.report.words import duration, number


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (9.94, "9.9 s"), (9.97, "10 s"), (42.4, "42 s"), (99.6, "1 min 40 s"), (119.7, "2 min 00 s"),
        (179.4, "2 min 59 s"), (5999.7, "1 h 40 min"), (7199.8, "2 h 00 min"), (7500, "2 h 05 min"),
    ],
)  # fmt: skip
def test_a_minute_has_no_sixtieth_second(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(999.7, "1,000"), (-999.7, "−1,000"), (999.4, "999"), (12345.6, "12,346"), (0.5, "0.5"), (7.0, "7")],
)
def test_a_thousand_is_written_out(value: float, words: str) -> None:
    assert number(value) == words
