"""A data folder with the one file that the cards of tests describe."""

from pathlib import Path

import pytest

from tests.data.card_files import CONTENT


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "set").mkdir(parents=True)
    (tmp_path / "data" / "set" / "a.jsonl").write_bytes(CONTENT)
    return tmp_path / "data"
