"""Scored: a reward source as a judge: of two answers the one with the higher score is better. Torch-free."""

import json
from collections.abc import Sequence

from align.data.records import Prompt
from align.judges.source import Comparison, Verdict
from align.rewards.function import as_source
from align.rewards.source import RewardSource

Answer = tuple[str, str]  # what the prompt says and knows, and the completion


class Scored:
    """A reward model, the gold score or any other reward source, asked once for every answer.

    Answers whose scores differ by at most `tie` are equally good.
    """

    def __init__(self, reward: RewardSource, tie: float = 0.0) -> None:
        if tie < 0:
            raise ValueError(f"tie: {tie} is below 0; it is the largest difference that counts as none")
        self._reward = as_source(reward)
        self._tie = tie
        self._scores: dict[Answer, float] = {}

    def problems(self) -> list[str]:
        """None: whatever is wrong with a reward source is found where it is checked."""
        return []

    def remember(
        self, prompts: Sequence[Prompt], completions: Sequence[str], scores: Sequence[float]
    ) -> None:
        """Take scores that the same source has given already."""
        self._scores.update(zip(map(_answer, prompts, completions), scores, strict=True))

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """One verdict per comparison. (N,)"""
        self._score([(item.prompt, text) for item in comparisons for text in (item.first, item.second)])
        return [self._verdict(item) for item in comparisons]

    def _score(self, answers: Sequence[tuple[Prompt, str]]) -> None:
        new = {_answer(*answer): answer for answer in answers if _answer(*answer) not in self._scores}
        if new:
            prompts, completions = zip(*new.values(), strict=True)
            self._scores.update(zip(new, self._reward.score(prompts, completions), strict=True))

    def _verdict(self, item: Comparison) -> Verdict:
        ours, theirs = (self._scores[_answer(item.prompt, text)] for text in (item.first, item.second))
        if abs(ours - theirs) <= self._tie:
            return Verdict(0.5)
        return Verdict(1.0 if ours > theirs else 0.0)


def _answer(prompt: Prompt, completion: str) -> Answer:
    asked = [message.as_dict() for message in prompt.messages]
    return json.dumps([asked, prompt.reference], sort_keys=True, default=str), completion
