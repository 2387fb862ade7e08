"""Cards for tests: front matter that holds, with whatever a test changes in it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

ROWS = [{"q": "one", "label": 1, "turns": ["a"]}, {"q": "two", "label": None, "turns": []}]
CONTENT = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
PROSE = "Made up for a test of cards."


def front_matter(**facts: Any) -> dict[str, Any]:
    return {
        "pretty_name": "Test",
        "language": ["en", "ko"],
        "license": "cc-by-4.0",
        "size_categories": ["n<1K"],
        "align": {
            "role": ["sft"],
            "source": "https://example.org/test",
            "revision": "1",
            "files": [
                {
                    "path": "set/a.jsonl",
                    "sha256": hashlib.sha256(CONTENT).hexdigest(),
                    "bytes": len(CONTENT),
                    "rows": 2,
                }
            ],
            "splits": {"train": 2},
            "columns": {"q": "text", "label": "number?", "turns": "list"},
            "collection": PROSE,
            "known_biases": PROSE,
            "allowed_uses": PROSE,
            "personal_data": {"note": PROSE},
            "evaluation_sets": {},
            **facts,
        },
    }


def write_card(folder: Path, content: dict[str, Any], name: str = "test.md") -> Path:
    path = folder / name
    path.write_text(f"---\n{yaml.safe_dump(content)}---\n\n# Test\n\nProse.\n", encoding="utf-8")
    return path
