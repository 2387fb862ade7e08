"""Personal data: text -> where e-mail addresses, phone, card, resident numbers and IP addresses stand in it.

What can be checked is: cards by Luhn's digit, Korean resident numbers by their date and check digit,
addresses by their range. Names and postal addresses are not looked for.

Source: ISO/IEC 7812-1 annex B (Luhn); Resident Registration Act of Korea (since October 2020 the last digits
of new numbers are random); RFC 2606 (names for examples)
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

PersonalDataKind = Literal["email", "phone", "mobile_kr", "card", "resident_number_kr", "ip_address"]
KINDS: tuple[PersonalDataKind, ...] = (
    "resident_number_kr", "card", "email", "mobile_kr", "phone", "ip_address",
)  # fmt: skip

# Text without any of these holds nothing that is looked for; most text ends here.
_DIGITS = re.compile(r"[0-9](?:[0-9 .)(-]{5}|[0-9a-fA-F]{3}:)")

_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"[A-Za-z]{2,24})(?![A-Za-z0-9-])"
)
_RESIDENT = re.compile(r"(?<![0-9-])([0-9]{6})[- ]?([1-8][0-9]{6})(?![0-9-])")
_CARD = re.compile(
    r"(?<![0-9.-])[2-6][0-9]{3}(?:[0-9]{10,15}|([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}|([ -])[0-9]{6}\2[0-9]{4,5})"
    r"(?![0-9])(?!-[0-9])"
)
_MOBILE = re.compile(
    r"(?<![0-9.+-])(?:\+?82[- .]?\(?0?\)?[- .]?1|01)(?:0[- .]?[0-9]{4}|[16789][- .]?[0-9]{3,4})[- .]?[0-9]{4}"
    r"(?![0-9])(?!-[0-9])"
)
_PHONE = re.compile(
    r"(?<![0-9.+-])(?:"
    r"\+(?:[0-9][ .()-]{0,2}){7,14}[0-9]"  # with a country code
    r"|0(?:2|[3-6][1-5]|70)[- .)][ ]?[0-9]{3,4}[- .][0-9]{4}"  # Korea: Seoul, provinces, internet
    r"|(?:1[- .])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[- .])[2-9][0-9]{2}[- .][0-9]{4}"  # North America
    r")(?![0-9])(?!-[0-9])"
)
_IPV4 = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w]|\.[0-9])")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4})+(?![\w:])")

_EXAMPLES = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost)$", re.IGNORECASE)
_TOLL_FREE = re.compile(r"^\+?1?(?:800|833|844|855|866|877|888)")
_RESIDENT_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_RANDOM_DIGITS_SINCE = date(2020, 10, 5)


@dataclass(frozen=True, slots=True, order=True)
class PersonalDatum:
    """One finding: `text[start:end]` looks like, and where it has a check digit is, a `kind`."""

    start: int
    end: int
    kind: PersonalDataKind


def personal_data(text: str) -> list[PersonalDatum]:
    """Every finding in order of its place; findings do not overlap, the surer kind wins.

    Numbers that belong to no person are left out: toll-free lines, domains for examples, addresses that are
    not routed (RFC 1918, loopback).
    """
    if "@" not in text and _DIGITS.search(text) is None:
        return []
    found: list[PersonalDatum] = []
    for kind in KINDS:
        for start, end in _SEARCHES[kind](text):
            if all(end <= other.start or start >= other.end for other in found):
                found.append(PersonalDatum(start, end, kind))
    return sorted(found)


def has_luhn_digit(digits: str) -> bool:
    """Whether the last digit is the check digit of those before it."""
    doubled = [int(digit) for digit in reversed(digits)]
    doubled[1::2] = [2 * digit - 9 * (digit > 4) for digit in doubled[1::2]]
    return sum(doubled) % 10 == 0


def is_resident_number(digits: str) -> bool:
    """Whether 13 digits are a Korean resident (or foreigner) registration number: date and check digit.

    The check digit of those born since October 2020 is random, and not looked at.
    """
    century = {"1": 1900, "2": 1900, "5": 1900, "6": 1900}.get(digits[6], 2000)
    try:
        born = date(century + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return False
    if born >= _RANDOM_DIGITS_SINCE:
        return born <= date.today()
    total = sum(int(digit) * weight for digit, weight in zip(digits, _RESIDENT_WEIGHTS, strict=False))
    base = 13 if digits[6] in "5678" else 11
    return (base - total % 11) % 10 == int(digits[12])


def _resident_numbers(text: str) -> Iterator[tuple[int, int]]:
    for match in _RESIDENT.finditer(text):
        if is_resident_number(match[1] + match[2]):
            yield match.span()


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", match[0])
        if len(set(digits)) > 1 and _is_issued(digits) and has_luhn_digit(digits):
            yield match.span()


def _is_issued(digits: str) -> bool:
    """Whether a network issues numbers of this beginning and length."""
    size = len(digits)
    if digits[0] == "4":
        return size in (16, 19)
    if digits[:2] in ("34", "37"):
        return size == 15
    if digits[:2] in ("36", "38", "39") or "300" <= digits[:3] <= "305":
        return size == 14
    if "51" <= digits[:2] <= "55" or "2221" <= digits[:4] <= "2720":
        return size == 16
    is_discover = digits[:2] in ("62", "64", "65") or digits[:4] == "6011"
    return 16 <= size <= 19 and (is_discover or "3528" <= digits[:4] <= "3589")


def _emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" in text:
        yield from (match.span() for match in _EMAIL.finditer(text) if not _EXAMPLES.search(match[1]))


def _mobiles(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _MOBILE.finditer(text))


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _PHONE.finditer(text):
        if not _TOLL_FREE.match(re.sub(r"[ .()-]", "", match[0])):
            yield match.span()


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            try:
                if ipaddress.ip_address(match[0]).is_global:
                    yield match.span()
            except ValueError:
                continue


_SEARCHES: dict[PersonalDataKind, Callable[[str], Iterator[tuple[int, int]]]] = {
    "resident_number_kr": _resident_numbers,
    "card": _cards,
    "email": _emails,
    "mobile_kr": _mobiles,
    "phone": _phones,
    "ip_address": _addresses,
}
