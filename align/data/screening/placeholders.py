"""Placeholders that nobody filled in: `{{name}}`, `{name}`, which a model would learn to say.

A name in braces also stands in code and in formulas (`f"{name}"`, `\\frac{a}`): what directly follows a
letter, a bracket, a backslash, a quotation mark or the like is left alone, as is anything in a code block.
"""

import re
from collections.abc import Sequence

from align.data.records import Row, texts_of

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_DOUBLE = re.compile(r"\{\{\s*[^\W\d][\w.]*\s*\}\}")
_SINGLE = re.compile(r"(?<![\w$\\{}\[\]()<>^_\"'/=%#@&|:;,.-])\{[^\W\d]\w+\}(?![\w{}\[(\"'=])")


def placeholder(row: Row) -> str | None:
    """The first placeholder in a row's text; None where there is none."""
    return placeholder_in(texts_of(row))


def placeholder_in(texts: Sequence[str]) -> str | None:
    """The same of the texts of a row."""
    for text in texts:
        if "{" not in text:
            continue
        plain = _CODE.sub(" ", text)
        if match := _DOUBLE.search(plain) or _SINGLE.search(plain):
            return match.group()
    return None
