"""Completions: preference pairs -> what their checks compare: prompts, chosen and rejected texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from align.data.records import Message, PreferencePair


@dataclass(frozen=True)
class Completions:
    """Pairs as texts, and which of them ask the same.

    Attributes:
        chosen: what each pair prefers; its turns one below the other. (N,)
        rejected: the other one. (N,)
        prompts: number of the prompt that each pair answers; equal where the prompts are. (N,)
    """

    chosen: Sequence[str]
    rejected: Sequence[str]
    prompts: Sequence[int]

    @staticmethod
    def of(pairs: Sequence[PreferencePair]) -> "Completions":
        """The completions of canonical pairs."""
        seen: dict[tuple[Message, ...], int] = {}
        prompts = [seen.setdefault(pair.prompt, len(seen)) for pair in pairs]
        return Completions(
            [_text(pair.chosen) for pair in pairs], [_text(pair.rejected) for pair in pairs], prompts
        )

    def __len__(self) -> int:
        return len(self.chosen)


def _text(messages: Sequence[Message]) -> str:
    return "\n".join(message.content for message in messages)
