"""Screen: one inspected row after another -> which of them pass, beside those before them."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from align.data.records import Place, PreferencePair, Row, texts_of
from align.data.report import Report, SourceReport
from align.data.screening.duplicates import content_digest
from align.data.screening.inspection import Inspected, Inspector, Note, noted
from align.data.screening.seen import Seen
from align.data.spec import ScreeningSpec

if TYPE_CHECKING:
    from align.data.screening.near_duplicates import NearDuplicates

CONTESTED = "preferred the other way round elsewhere"
DUPLICATE = "exact duplicate"
NEAR_DUPLICATE = "near duplicate"


class Screen:
    """The checks of `screening:`, each of which may refuse a row; duplicates are those over all sources."""

    def __init__(
        self,
        spec: ScreeningSpec,
        control_tokens: Sequence[str],
        evaluation: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """`evaluation` has the prompts of each set that `screening.overlap` names."""
        self._spec = spec
        self.inspector = Inspector(spec, control_tokens, evaluation)
        self._seen = Seen()
        self._contested: set[bytes] = set()
        self._compared: list[Place | None] = []
        self._near = None if spec.near_duplicates is None else _near_duplicates()

    def __call__(self, row: Row, account: SourceReport) -> Row | None:
        """The row, escaped where it has to be; None where it is dropped or refused, which is counted."""
        assert row.place is not None
        inspected = self.inspector(row, row.place)
        self.inspector.look_for_leaks([inspected])
        return inspected.row if self.admit(inspected, account) else None

    @property
    def compares_texts(self) -> bool:
        """Whether `admit` looks at the row itself, and not just at its digests."""
        return self._near is not None

    def admit(self, inspected: Inspected, account: SourceReport) -> bool:
        """Count what is said of a row; whether it passes."""
        for note in inspected.notes:
            _count(account, inspected.place, note)
        is_sound = bool(inspected.digest)
        return is_sound and self._is_news(inspected, account) and self._is_unlike(inspected, account)

    def withdrawn(self, rows: Iterable[Row], report: Report) -> set[int]:
        """Numbers of the rows that a later one contested, where contested preferences are dropped."""
        if not self._contested or self._spec.conflicting_pairs != "drop":
            return set()
        found = set()
        for number, row in enumerate(rows):
            if isinstance(row, PreferencePair) and content_digest(row) in self._contested:
                assert row.place is not None
                report.sources[row.place.source].note(CONTESTED, "drop", str(row.place))
                report.sources[row.place.source].kept -= 1
                found.add(number)
        return found

    def _is_news(self, row: Inspected, account: SourceReport) -> bool:
        if row.digest in self._seen:
            message = f"{DUPLICATE} of {self._seen[row.digest]}"
            # They are dropped unless somebody says otherwise: who keeps them has decided.
            is_decided = self._spec.duplicates == "keep"
            advice = "" if is_decided else "remove it, or set screening.duplicates to drop"
            return _count(account, row.place, noted(DUPLICATE, self._spec.duplicates, message, advice))
        if not self._is_settled(row, account):
            return False
        self._seen.add(row.digest, row.place)
        return True

    def _is_settled(self, row: Inspected, account: SourceReport) -> bool:
        other = row.opposite
        if other is None or other == row.digest or other not in self._seen:
            return True
        self._contested.add(other)
        message = f"these answers are preferred the other way round at {self._seen[other]}"
        advice = "the two cancel out: decide, or set screening.conflicting_pairs to drop (both of them)"
        return _count(account, row.place, noted(CONTESTED, self._spec.conflicting_pairs, message, advice))

    def _is_unlike(self, row: Inspected, account: SourceReport) -> bool:
        """Whether a row is neither what an evaluation asks nor almost what an earlier row is.

        The other half of a contradiction has the same words, and was told as that already.
        """
        if row.leak is None and self._near is None:
            return True
        if row.opposite is not None and row.opposite in self._seen:
            return True
        like = row.leak or self._copy(row)
        return like is None or _count(account, row.place, like)

    def _copy(self, row: Inspected) -> Note | None:
        if self._near is None or self._spec.near_duplicates is None:
            return None
        assert row.row is not None
        (match,) = self._near.matches(["\n".join(texts_of(row.row))])
        self._compared.append(row.place)
        if match is None:
            return None
        message = f"{NEAR_DUPLICATE} ({match.similarity:.0%}) of {self._compared[match.earlier]}"
        advice = "remove it, or set screening.near_duplicates to drop"
        return noted(NEAR_DUPLICATE, self._spec.near_duplicates, message, advice)


def _near_duplicates() -> "NearDuplicates":
    from align.data.screening.near_duplicates import NearDuplicates

    return NearDuplicates()


def _count(account: SourceReport, place: Place, note: Note) -> bool:
    """Count a row; whether it is kept."""
    account.note(note.reason, note.done, str(place), note.message, note.advice)
    return note.done == "keep"
