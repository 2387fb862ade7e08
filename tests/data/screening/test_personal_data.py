"""Personal data is found where it stands, and what merely looks like it is not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.screening.personal_data import has_luhn_digit, is_resident_number, personal_data


def resident(first_twelve: str, base: int = 11) -> str:
    """Twelve digits and their check digit, by the rule as the statute's table words it."""
    total = 0
    for place, digit in enumerate(first_twelve):
        total += int(digit) * (place % 8 + 2)
    return f"{first_twelve}{(base - total % 11) % 10}"


BORN_1988 = resident("880229112345")
FOUND = [
    ("write to jane.doe+x@mail.co.kr, please", "email", "jane.doe+x@mail.co.kr"),
    ("카드 번호는 4111-1111-1111-1111입니다", "card", "4111-1111-1111-1111"),
    ("amex 378282246310005.", "card", "378282246310005"),
    (
        f"주민번호 {BORN_1988[:6]}-{BORN_1988[6:]}이다",
        "resident_number_kr",
        f"{BORN_1988[:6]}-{BORN_1988[6:]}",
    ),
    (f"id {BORN_1988}", "resident_number_kr", BORN_1988),
    ("아이 210305-3123456", "resident_number_kr", "210305-3123456"),  # born when last digits were random
    ("전화 010-1234-5678로", "mobile_kr", "010-1234-5678"),
    ("01098765432", "mobile_kr", "01098765432"),
    ("+82 10-1234-5678", "mobile_kr", "+82 10-1234-5678"),
    ("call (512) 481-4867 now", "phone", "(512) 481-4867"),
    ("서울 02-345-6789", "phone", "02-345-6789"),
    ("+44 20 7946 0958", "phone", "+44 20 7946 0958"),
    ("host 8.8.4.4:53", "ip_address", "8.8.4.4"),
    ("at 2001:4860:4860::8888 it", "ip_address", "2001:4860:4860::8888"),
]


@pytest.mark.parametrize("text, kind, datum", FOUND, ids=[case[2] for case in FOUND])
def test_it_is_found_where_it_stands(text: str, kind: str, datum: str) -> None:
    assert [(found.kind, text[found.start : found.end]) for found in personal_data(text)] == [(kind, datum)]


@pytest.mark.parametrize(
    "text",
    [
        "an ordinary sentence of 2024, with 3 numbers: 12.5, 1,000,000 and 7",
        "4111-1111-1111-1112",  # Luhn
        f"{BORN_1988[:6]}-{BORN_1988[6:12]}{(int(BORN_1988[12]) + 1) % 10}",  # check digit
        "880230-1123456",  # no such day
        "someone@example.com and a@b.test",
        "1-800-273-8255",  # a hotline is nobody's
        "192.168.0.1 and 127.0.0.1 and 999.1.1.1",
        "1.0191180297",
        "user@ host, @name, a@b",
        "2024-01-15 10:30:00",
    ],
)
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert personal_data(text) == []


def test_findings_do_not_overlap_and_stand_in_order() -> None:
    text = f"a@b.org 010-1234-5678 {BORN_1988} 4111111111111111 8.8.8.8 c@d.net"
    found = personal_data(text)
    assert [item.kind for item in found] == [
        "email", "mobile_kr", "resident_number_kr", "card", "ip_address", "email",
    ]  # fmt: skip
    assert all(one.end <= other.start for one, other in zip(found, found[1:], strict=False))


@given(st.integers(0, 10**15 - 1))
def test_one_digit_in_ten_is_luhns(prefix: int) -> None:
    digits = f"{prefix:015d}"
    assert sum(has_luhn_digit(f"{digits}{last}") for last in range(10)) == 1


def test_a_resident_number_has_one_check_digit_in_ten() -> None:
    stream = random.Random(0)
    for base, centuries in ((11, "1234"), (13, "5678")):
        for _ in range(200):
            born = f"{stream.randrange(100):02d}{stream.randint(1, 12):02d}{stream.randint(1, 28):02d}"
            century = stream.choice(centuries)
            if century in "3478" and int(born[:2]) > 19:
                continue
            twelve = f"{born}{century}{stream.randrange(10**5):05d}"
            valid = [f"{twelve}{last}" for last in range(10) if is_resident_number(f"{twelve}{last}")]
            assert valid == [resident(twelve, base)]


@given(st.text())
def test_any_text_can_be_looked_through(text: str) -> None:
    for found in personal_data(text):
        assert 0 <= found.start < found.end <= len(text)
