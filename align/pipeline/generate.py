"""Generate: write every dataset of a config that comes from a generator, and say where it lies.

Writes  outputs/datasets/<identity>/
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from align.config.compose import bind
from align.config.plugin import PluginSpec
from align.config.problem import ConfigError
from align.data.errors import DataError
from align.data.generated import generated_folder
from align.pipeline.live import screen
from align.pipeline.run import Run
from align.pipeline.runner import REFUSED

if TYPE_CHECKING:
    from omegaconf import DictConfig

SHOWN_CHARACTERS = 100


def generate_from_config(cfg: "DictConfig") -> None:
    """Write the generated datasets of the corpus, and print their files; the last line is the folder.

    Raises:
        SystemExit: with 2 when the config or the generator's arguments have to be put right.
    """
    try:
        run = bind(cfg, Run)
        folders = [generated_folder(generator, run.paths.outputs) for generator in _generators(run)]
    except (ConfigError, DataError) as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(REFUSED) from None
    if not folders:
        sys.stderr.write("corpus: nothing here is generated; choose corpus=sandbox\n")
        raise SystemExit(REFUSED)
    for folder in dict.fromkeys(folders):
        screen().print(_table(folder))
        screen().print(str(folder), markup=False)


def _generators(run: Run) -> Iterator[PluginSpec]:
    for data in run.corpus.values():
        yield from (source.generator for source in data.sources.values() if source.generator is not None)


def _table(folder: Path) -> Table:
    table = Table("file", "rows", "first row")
    for file in sorted(folder.glob("*.jsonl")):
        lines = file.read_text(encoding="utf-8").splitlines()
        shown = json.dumps(json.loads(lines[0]), ensure_ascii=False) if lines else ""
        cut = shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}…"
        table.add_row(file.name, f"{len(lines):,}", Text(cut))
    return table
