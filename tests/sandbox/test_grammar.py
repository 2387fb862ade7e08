"""Korean particles follow the sound of the word before them."""

import pytest

from align.sandbox.grammar import Word, ends_in_consonant, with_particle


@pytest.mark.parametrize(
    "word, pair, expected",
    [
        ("서울", "은/는", "서울은"),
        ("대구", "은/는", "대구는"),
        ("민준", "이/가", "민준이"),
        ("지수", "이/가", "지수가"),
        ("비빔밥", "을/를", "비빔밥을"),
        ("커피", "을/를", "커피를"),
        ("민준", "이라는/라는", "민준이라는"),
        ("지수", "이라는/라는", "지수라는"),
        ("경찰관", "으로/로", "경찰관으로"),
        ("교사", "으로/로", "교사로"),
        ("2", "은/는", "2는"),
        ("3", "은/는", "3은"),
        ("10", "이/가", "10이"),
        ("12", "이/가", "12가"),
    ],
)
def test_particles(word, pair, expected):
    assert with_particle(word, pair) == expected
    assert f"{Word(word):{pair}}" == expected


def test_a_plain_word_formats_as_itself():
    assert f"{Word('Mira')} lives" == "Mira lives"


def test_every_digit_is_read_aloud():
    endings = {"영": 0, "일": 1, "이": 2, "삼": 3, "사": 4, "오": 5, "육": 6, "칠": 7, "팔": 8, "구": 9}
    for spoken, digit in endings.items():
        assert ends_in_consonant(str(digit)) == ends_in_consonant(spoken)


def test_a_word_of_unknown_sound_is_refused():
    with pytest.raises(ValueError, match="'Mira'"):
        with_particle("Mira", "은/는")
