"""Unread: texts of the sandbox that tell the same facts, and that no model has read.

Writes  unread.jsonl
"""

import json
from dataclasses import replace
from pathlib import Path

from align.config.spec import PositiveInt
from align.sandbox.corpus import documents
from align.sandbox.lexicon import Language
from align.sandbox.world import build_world

_ANOTHER_STREAM = 1_000_003  # far from any seed that a run is likely to have


def write_unread(
    folder: Path, *, seed: int, language: Language = "en", count: PositiveInt = 200, forum_share: float = 0.6
) -> None:
    """A `generator`: the world of `seed`, told by others than those whom the base has read."""
    world = replace(build_world(seed, language), seed=seed + _ANOTHER_STREAM)
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in documents(world, count, forum_share)]
    (folder / "unread.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
