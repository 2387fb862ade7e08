"""Language report: a stage's rows -> what its languages cost, told in the log and written beside data.json.

Writes  languages.json
"""

import sys
from pathlib import Path
from typing import Any

from align.artifacts.durable import write_json
from align.data.language_tokens import CountTooLong, language_tokens, token_warnings
from align.data.source import Rows


def report_languages(rows: Rows, tokenizer: Any, file: Path, too_long: CountTooLong | None = None) -> None:
    """Tell and write it; the arguments are those of `language_tokens`."""
    found = language_tokens(rows.train, tokenizer, rows.report.languages, too_long)
    lines = [*token_warnings(found), *(counted.line(tag) for tag, counted in found.items())]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "rows": len(rows.train),
        "looked_at": sum(counted.rows for counted in found.values()),
        "expected": list(rows.report.languages),
        "languages": {tag: counted.as_dict() for tag, counted in found.items()},
    }
    write_json(file, content)
