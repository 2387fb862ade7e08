"""Seen digests: what a dictionary would say, in a tenth of its memory."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from align.data.records import Place
from align.data.screening.seen import SLOTS, Seen

DIGESTS = st.lists(st.binary(min_size=16, max_size=16), unique_by=lambda digest: digest[:8])
LINES = st.integers(1, 10**9).map(str) | st.just("row 7")
PLACES = st.none() | st.builds(Place, st.sampled_from("ab"), st.sampled_from(["x", "y"]), LINES)


@given(DIGESTS, st.data())
def test_it_is_a_dictionary_of_first_places(digests: list[bytes], data: st.DataObject) -> None:
    seen, known = Seen(), dict[bytes, Place | None]()
    for digest in digests:
        assert digest not in seen
        known[digest] = data.draw(PLACES)
        seen.add(digest, known[digest])
    assert len(seen) == len(known)
    assert all(digest in seen and seen[digest] == place for digest, place in known.items())


def test_places_of_arrays_and_of_several_lines_are_told_by_their_first_line() -> None:
    seen = Seen()
    for number, line in enumerate(["4 (row 3)", "12, 15", "?"]):
        seen.add(bytes([number + 1]) * 16, Place("a", "x.json", line))
    assert [str(seen[bytes([number]) * 16]) for number in (1, 2, 3)] == ["x.json:4", "x.json:12", "x.json:0"]


def test_it_grows_and_stays_small() -> None:
    seen, count = Seen(), 40 * SLOTS
    for number in range(count):
        seen.add((number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "little"), Place("a", "x", str(number)))
    assert all((number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "little") in seen for number in range(count))
    size = sys.getsizeof(seen._digests) + sys.getsizeof(seen._places)
    assert len(seen) == count and size < 50 * count
