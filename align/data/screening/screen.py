"""Screen: the checks that `screening:` asks for, applied to one canonical row after another."""

from collections.abc import Sequence

from align.data.records import Refusal, Row
from align.data.screening.control_tokens import control_tokens as control_token_search
from align.data.screening.duplicates import duplicates
from align.data.screening.identical_pairs import is_identical_pair
from align.data.spec import ScreeningSpec


class Screen:
    """The checks of `screening:`, each of which may refuse a row; duplicates are those over all sources."""

    def __init__(self, spec: ScreeningSpec, control_tokens: Sequence[str]) -> None:
        self._spec = spec
        self._control_token = control_token_search(() if spec.control_tokens == "keep" else control_tokens)
        self._is_duplicate = duplicates() if spec.duplicates else None

    def __call__(self, row: Row) -> str | None:
        """Why the row is dropped; None where it passes.

        Raises:
            Refusal: the row holds a control token, and these are errors.
        """
        token = self._control_token(row)
        if token is not None and self._spec.control_tokens == "error":
            raise Refusal(
                f"the text holds {token!r}, which the tokenizer reads as a control token; remove it "
                "there, or set screening.control_tokens to drop"
            )
        if token is not None:
            return f"control token {token}"
        if self._spec.identical_pairs and is_identical_pair(row):
            return "chosen and rejected are identical"
        if self._is_duplicate is not None and self._is_duplicate(row):
            return "exact duplicate"
        return None
