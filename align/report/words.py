"""Words: numbers, durations and sizes as a reader wants them."""

from collections.abc import Mapping
from typing import Any

TOO_FEW = 30  # prompts, below which an interval is not worth printing


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, thousands apart, a real minus sign."""
    if value is None:
        return "–"
    if round(abs(value)) >= 1000:
        text = f"{value:,.0f}"
    elif float(value).is_integer():
        text = f"{value:.0f}"
    else:
        text = f"{value:.{digits}g}"
    return text.replace("-", "−")


def fixed(value: float, digits: int = 2) -> str:
    """So many decimals, a real minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")


def duration(seconds: float) -> str:
    """`42 s`, `4 min 29 s`, `2 h 05 min`."""
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)  # before it is taken apart: 119.7 s are two minutes
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def share(value: float) -> str:
    """`79.2 %`."""
    return f"{100 * value:.1f} %"


def interval(row: Mapping[str, Any], *, is_share: bool = False) -> str:
    """`1.49 [1.38, 1.60]`, or in percent; too few prompts have no interval worth the name."""
    scale, digits, unit = (100, 1, " %") if is_share else (1, 2, "")
    text = fixed(scale * row["value"], digits) + unit
    if row.get("low") is None:
        return text
    if row["n"] < TOO_FEW:
        return f"{text} (too few)"
    return f"{text} [{fixed(scale * row['low'], digits)}, {fixed(scale * row['high'], digits)}]"


def is_decided(row: Mapping[str, Any], even: float = 0.5) -> bool:
    """Whether an interval lies on one side of `even`: otherwise there is no winner."""
    if row.get("low") is None or row["n"] < TOO_FEW:
        return False
    return bool(row["low"] > even or row["high"] < even)
