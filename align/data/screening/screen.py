"""Screen: the checks that `screening:` asks for, applied to one canonical row after another."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from align.data.records import Place, PreferencePair, Refusal, Row, RowError, Unused
from align.data.report import Report, SourceReport
from align.data.screening.control_tokens import ControlTokens
from align.data.screening.duplicates import content_digest
from align.data.screening.findings import Done
from align.data.screening.placeholders import placeholder
from align.data.screening.preferences import is_identical_pair, opposite
from align.data.screening.seen import Seen
from align.data.spec import BadRows, ScreeningSpec

if TYPE_CHECKING:
    from align.data.screening.comparison import Likeness

CONTESTED = "preferred the other way round elsewhere"
IDENTICAL = "chosen and rejected are identical"
DUPLICATE = "exact duplicate"
UNFILLED = "a placeholder that nobody filled in"


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
        self._control = ControlTokens(control_tokens)
        self._seen = Seen()
        self._contested: set[bytes] = set()
        self._compare: Callable[[Row], Likeness | None] | None = None
        if spec.overlap is not None or spec.near_duplicates is not None:
            from align.data.screening.comparison import Comparison

            self._compare = Comparison(spec, evaluation)

    def refuse(self, cause: RowError, bad_rows: BadRows, place: Place, account: SourceReport) -> None:
        """Count a row that could not be converted, by what the policy for such rows says."""
        if isinstance(cause, Refusal):
            account.note(cause.reason, "error", str(place), str(cause))
            return
        if isinstance(cause, Unused):
            account.note(cause.reason, "drop", str(place), str(cause))
            return
        spec = self._spec
        key, policy = {
            "blank": ("blank_turns", spec.blank_turns),
            "role": ("unknown_roles", spec.unknown_roles),
            "unanswered": ("unanswered", spec.unanswered),
            "order": ("turn_order", spec.turn_order),
        }.get(cause.kind, (None, None))
        ways = f"set `bad_rows: drop` on source {place.source!r}"
        ways += f" (or screening.{key}: drop)" if key else ""
        remedy = f"correct the row, or {ways} to drop and count such rows"
        done = policy or bad_rows
        account.note(cause.reason, done, str(place), str(cause), remedy if done == "error" else "")

    def __call__(self, row: Row, account: SourceReport) -> Row | None:
        """The row, escaped where it has to be; None where it is dropped or refused, which is counted."""
        passed = self._without_control_tokens(row, account)
        if passed is None or not self._is_filled_in(passed, account):
            return None
        return (
            passed if self._teaches_something(passed, account) and self._is_unlike(passed, account) else None
        )

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

    def _without_control_tokens(self, row: Row, account: SourceReport) -> Row | None:
        token = self._control.first(row)
        if token is None:
            return row
        done = self._spec.control_tokens
        message = f"the text holds {token!r}, which the tokenizer reads as a control token"
        advice = "remove it there, or set screening.control_tokens to escape or drop"
        _note(account, row, f"control token {token}", done, message, advice)
        return self._control.escaped(row) if done == "escape" else None

    def _is_filled_in(self, row: Row, account: SourceReport) -> bool:
        if (found := placeholder(row)) is None:
            return True
        message = f"the text holds {found}, {UNFILLED}"
        advice = "a model learns to say it: fill it in, or set screening.placeholders to drop"
        return _note(account, row, UNFILLED, self._spec.placeholders, message, advice)

    def _teaches_something(self, row: Row, account: SourceReport) -> bool:
        spec = self._spec
        if is_identical_pair(row):
            advice = "nothing is learnt from such a pair; set screening.identical_pairs to drop"
            if not _note(account, row, IDENTICAL, spec.identical_pairs, IDENTICAL, advice):
                return False
        digest = content_digest(row)
        if digest in self._seen:
            message = f"{DUPLICATE} of {self._seen[digest]}"
            advice = "remove it, or set screening.duplicates to drop"
            return _note(account, row, DUPLICATE, spec.duplicates, message, advice)
        if isinstance(row, PreferencePair) and not self._is_settled(row, digest, account):
            return False
        self._seen.add(digest, row.place)
        return True

    def _is_unlike(self, row: Row, account: SourceReport) -> bool:
        """Whether a row is neither what an evaluation asks nor almost what an earlier row is.

        The other half of a contradiction has the same words, and was told as that already.
        """
        if self._compare is None or (
            isinstance(row, PreferencePair) and content_digest(opposite(row)) in self._seen
        ):
            return True
        like = self._compare(row)
        return like is None or _note(account, row, like.reason, like.policy, like.message, like.advice)

    def _is_settled(self, row: PreferencePair, digest: bytes, account: SourceReport) -> bool:
        other = content_digest(opposite(row))
        if other not in self._seen or other == digest:
            return True
        self._contested.add(other)
        message = f"these answers are preferred the other way round at {self._seen[other]}"
        advice = "the two cancel out: decide, or set screening.conflicting_pairs to drop (both of them)"
        return _note(account, row, CONTESTED, self._spec.conflicting_pairs, message, advice)


def _note(account: SourceReport, row: Row, reason: str, done: Done, message: str, advice: str) -> bool:
    """Count a row; whether it is kept. Advice is for those who did not ask for rows to be dropped."""
    is_news = done in ("error", "keep")
    account.note(reason, done, str(row.place), message, advice if is_news else "")
    return done == "keep"
