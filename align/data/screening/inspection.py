"""Inspection: what is wrong with one row by itself, whatever the others are, so any process can do it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from align.data.records import Place, PreferencePair, Refusal, Row, RowError, Unused, texts_of
from align.data.screening.control_tokens import ControlTokens
from align.data.screening.duplicates import content_digest, pair_digests
from align.data.screening.findings import Done
from align.data.screening.placeholders import placeholder_in
from align.data.screening.preferences import is_identical_pair
from align.data.spec import BadRows, ScreeningSpec

if TYPE_CHECKING:
    from align.data.screening.overlap import Leak, Overlap

IDENTICAL = "chosen and rejected are identical"
UNFILLED = "a placeholder that nobody filled in"
LEAKED = "shares words with an evaluation prompt"
SHOWN = 60  # characters of an evaluation prompt


class Note(NamedTuple):
    """Something that a row is counted for, and what becomes of it."""

    reason: str
    done: Done
    message: str = ""
    advice: str = ""


@dataclass(slots=True)
class Inspected:
    """A row, and what is to be said of it in any case.

    `row` is None where it is dropped or refused for what it is; then nothing below is set. `digest` is that
    of its content, `opposite` that of the same pair preferred the other way round. `leak` is to be said of
    it where it turns out to be no duplicate.
    """

    place: Place
    notes: tuple[Note, ...] = ()
    row: Row | None = None
    digest: bytes = b""
    opposite: bytes | None = None
    leak: Note | None = None


class Inspector:
    """The checks of `screening:` that need nothing but the row."""

    def __init__(
        self,
        spec: ScreeningSpec,
        control_tokens: Sequence[str],
        evaluation: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """`evaluation` has the prompts of each set that `screening.overlap` names."""
        self._spec = spec
        self._control = ControlTokens(control_tokens)
        self._evaluation = evaluation
        self._overlap = None if spec.overlap is None else _overlap(evaluation)

    def refuse(self, cause: RowError, bad_rows: BadRows, place: Place) -> Inspected:
        """What is said of a row that could not be converted, by what the policy for such rows says."""
        if isinstance(cause, Refusal):
            return Inspected(place, (Note(cause.reason, "error", str(cause)),))
        if isinstance(cause, Unused):
            return Inspected(place, (Note(cause.reason, "drop", str(cause)),))
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
        return Inspected(place, (Note(cause.reason, done, str(cause), remedy if done == "error" else ""),))

    def __call__(self, row: Row, place: Place) -> Inspected:
        """Look at a row; it comes back escaped where it has to be."""
        notes: list[Note] = []
        texts = texts_of(row)
        if (token := self._control.first_in(texts)) is not None:
            done = self._spec.control_tokens
            message = f"the text holds {token!r}, which the tokenizer reads as a control token"
            advice = "remove it there, or set screening.control_tokens to escape or drop"
            notes.append(noted(f"control token {token}", done, message, advice))
            if done != "escape":
                return Inspected(place, tuple(notes))
            row = self._control.escaped(row)
            texts = texts_of(row)
        if (found := placeholder_in(texts)) is not None:
            message = f"the text holds {found}, {UNFILLED}"
            advice = "a model learns to say it: fill it in, or set screening.placeholders to drop"
            notes.append(noted(UNFILLED, self._spec.placeholders, message, advice))
        if notes and notes[-1].done not in ("keep", "escape"):
            return Inspected(place, tuple(notes))
        if is_identical_pair(row):
            advice = "nothing is learnt from such a pair; set screening.identical_pairs to drop"
            notes.append(noted(IDENTICAL, self._spec.identical_pairs, IDENTICAL, advice))
            if notes[-1].done != "keep":
                return Inspected(place, tuple(notes))
        if isinstance(row, PreferencePair):
            return Inspected(place, tuple(notes), row, *pair_digests(row))
        return Inspected(place, tuple(notes), row, content_digest(row))

    def look_for_leaks(self, inspected: Sequence[Inspected]) -> None:
        """Note which rows share words with evaluation prompts; many rows at once are many times as fast."""
        if self._overlap is None:
            return
        sound = [item for item in inspected if item.row is not None]
        texts: list[str] = []
        owners: list[Inspected] = []
        for item in sound:
            assert item.row is not None
            own = texts_of(item.row)
            texts += own
            owners += [item] * len(own)
        for leak in reversed(self._overlap.leaks(texts)):  # the first one of a row is told
            owners[leak.text].leak = self._leak(leak)

    def _leak(self, leak: "Leak") -> Note:
        assert self._spec.overlap is not None
        asked = " ".join(self._evaluation[leak.suite][leak.prompt].split())[:SHOWN]
        advice = "remove it, or set screening.overlap.policy to drop"
        message = f"{LEAKED} of {leak.suite}: {asked!r}"
        return noted(LEAKED, self._spec.overlap.policy, message, advice)


def _overlap(evaluation: Mapping[str, Sequence[str]]) -> "Overlap":
    from align.data.screening.overlap import Overlap

    return Overlap(evaluation)


def noted(reason: str, done: Done, message: str, advice: str) -> Note:
    """A note whose advice is for those who did not ask for rows to be dropped."""
    return Note(reason, done, message, advice if done in ("error", "keep") else "")


def placed(row: Row, place: Place) -> Row:
    """The row with where it stands."""
    if isinstance(row, PreferencePair):  # five times as fast as `replace`, for the most frequent large ones
        return PreferencePair(row.prompt, row.chosen, row.rejected, row.margin, place)
    return replace(row, place=place)
