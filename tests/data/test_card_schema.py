"""Card schema: strict front matter, every problem told with its place."""

from pathlib import Path
from typing import Any

import pytest

from align.data.card_schema import read_card
from align.data.errors import DataError
from tests.data.card_files import PROSE, front_matter, write_card


@pytest.mark.parametrize(
    "change, message",
    [
        ({"license": "apache-2"}, "license: 'apache-2' is neither an SPDX licence "),
        ({"license": "other"}, "license: other needs align.licence_note"),
        ({"license": "unknown"}, "license: unknown needs align.licence_note"),
        ({"license": ["mit", "nonsense"]}, "license: 'nonsense' is neither an SPDX licence "),
        ({"language": ["xx"]}, "language[0]: 'xx' is no language tag"),
        ({"language": []}, "language: "),
        ({"language": "en"}, "language: "),
        ({"pretty_name": None}, "pretty_name: "),
    ],
)
def test_the_hubs_fields_are_checked(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    card = write_card(tmp_path, {**front_matter(), **change})
    with pytest.raises(DataError) as caught:
        read_card(card)
    assert str(caught.value).startswith(f"{card}: ") and message in str(caught.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rows": 3}, "align.rows: Extra inputs are not permitted"),
        ({"role": ["training"]}, "align.role[0]: "),
        ({"columns": {"q": "string"}}, "align.columns.q: "),
        ({"collection": "TO WRITE: who wrote it"}, "align.collection: still to be written"),
        ({"personal_data": "none"}, "align.personal_data.note: "),
        ({"personal_data": {"note": PROSE, "found": {"email": 1}}}, "align.personal_data: `scanned`, `met"),
        ({"splits": {"train": 1, "test": 1}}, "align: splits: the files add up to {'train': 2}, not "),
        ({"evaluation_sets": {"mt_bench": -1}}, "align.evaluation_sets.mt_bench: "),
        ({"files": []}, "align: give either `files` (local) or `hub`"),
        ({"files": [], "hub": {"id": "a/b"}, "splits": {}}, "align: splits: name the splits on the Hub"),
        ({"hub": {"id": "a/b"}}, "align: give either `files` (local) or `hub`"),
    ],
)
def test_our_own_block_is_strict(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    card = write_card(tmp_path, front_matter(**change))
    with pytest.raises(DataError) as caught:
        read_card(card)
    assert f"{card}: {message}" in str(caught.value)


@pytest.mark.parametrize(
    "given, expression",
    [
        ("mit", "MIT"),
        ("apache-2.0", "Apache-2.0"),
        ("odc-by", "ODC-By-1.0"),
        (["bsd-3-clause", "cc-by-sa-4.0"], "BSD-3-Clause AND CC-BY-SA-4.0"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("other", "LicenseRef-other"),
        ("unknown", "NOASSERTION"),
    ],
)
def test_a_licence_is_told_in_spdx(tmp_path: Path, given: Any, expression: str) -> None:
    content = {**front_matter(licence_note="Ask the authors."), "license": given}
    assert read_card(write_card(tmp_path, content)).spdx == expression


def test_a_plain_note_about_personal_data_means_that_nobody_searched(tmp_path: Path) -> None:
    personal = read_card(write_card(tmp_path, front_matter(personal_data=PROSE))).align.personal_data
    assert (personal.note, personal.method, personal.found) == (PROSE, None, {})


@pytest.mark.parametrize(
    "text, message",
    [
        ("# No front matter\n", ":1: no front matter"),
        ("---\na: [1\nb: 2\n---\n", ":3: not valid YAML"),
        ("---\n- a\n---\n", ": Input should be"),
    ],
)
def test_unreadable_cards(tmp_path: Path, text: str, message: str) -> None:
    card = tmp_path / "test.md"
    card.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_card(card)
    assert str(caught.value).startswith(f"{card}{message}")
