"""Text rows -> Text."""

from collections.abc import Mapping
from typing import Any

from align.data.formats import fields
from align.data.records import Text


def text(row: Mapping[str, Any]) -> Text:
    """`text`; a plain text file gives one such row per line, paragraph or document.

    Raises:
        RowError: the field is missing or not text.
    """
    return Text(fields.text(row, "text"))


def unquoted(row: Text) -> Text:
    """A `map` for files that were exported as a table of one column: drops the quotes around a line."""
    inside = row.text[1:-1]
    quoted = row.text == f'"{inside}"' and '"' not in inside.replace('""', "")
    return Text(inside.replace('""', '"')) if quoted else row
