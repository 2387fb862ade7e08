"""Alarms: what is found again and again is said once, when it begins."""

from collections.abc import Mapping


class Onsets:
    """Remembers what goes on, by name; it is news again once it had stopped."""

    def __init__(self) -> None:
        self._active: set[str] = set()

    def of(self, found: Mapping[str, str]) -> list[str]:
        """The sentences of those names that were not found the last time."""
        said = [sentence for name, sentence in found.items() if name not in self._active]
        self._active = {*found}
        return said
