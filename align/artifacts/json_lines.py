"""JSON lines: a whole file, a value per line, as `write_text` left it."""

import json
from pathlib import Path
from typing import Any


def read_json_lines(path: Path) -> list[Any]:
    """Every line's value; only line feeds end a line, for texts hold other separators."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
