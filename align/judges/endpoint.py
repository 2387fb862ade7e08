"""Endpoint: a language model behind an OpenAI-compatible server as a judge. Torch-free at import.

Reads   an HTTP endpoint (OpenAI, vLLM, `transformers serve`, llama.cpp and others); the key comes from the
        environment only
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from align.config.spec import NonNegative, NonNegativeInt, Positive, PositiveInt
from align.judges.source import Comparison, Verdict
from align.judges.wording import VERSION, Choice, verdict_in, worded

SHARES: dict[Choice, float] = {"A": 1.0, "tie": 0.5, "B": 0.0}
# A word in what a server objects to -> what to change.
REMEDIES = {
    "max_completion_tokens": "set `limit_name: max_completion_tokens`",
    "temperature": "set `temperature: null`, which leaves it out",
}


class Endpoint:
    """Asks about every comparison twice, in both orders; the verdict is the mean of the two.

    A verdict that cannot be read in one of the orders is none. `key_variable` names the environment variable
    that holds the key; a server of one's own needs none. Requests that fail are tried `retries` times more,
    with growing pauses, by the client library. `limit_name` is what the server calls the limit of a reply's
    tokens; models that reason know it by another name, and refuse a `temperature`: null leaves it out.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key_variable: str = "OPENAI_API_KEY",
        temperature: NonNegative | None = 0.0,
        max_tokens: PositiveInt = 512,
        limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
        timeout: Positive = 120.0,
        retries: NonNegativeInt = 4,
        parallel: PositiveInt = 8,
    ) -> None:
        self._url = base_url
        self._model = model
        self._variable = key_variable
        warmth = {} if temperature is None else {"temperature": temperature}
        self._sampling: dict[str, Any] = {**warmth, limit_name: max_tokens}
        self._timeout = timeout
        self._retries = retries
        self._parallel = parallel

    @property
    def identity(self) -> dict[str, Any]:
        """What verdicts follow from beside the comparison: they are kept under it."""
        return {"url": self._url, "model": self._model, "wording": VERSION, **self._sampling}

    def problems(self) -> list[str]:
        """Why the server cannot be asked now, found by one short request."""
        import openai  # noqa: PLC0415

        try:
            with self._client(retries=0) as client:
                self._asked(client, [{"role": "user", "content": "Reply with the word ready."}])
        except openai.APITimeoutError:
            return [f"{self._url} did not answer within {self._timeout:g} s; raise `timeout`, or look at it"]
        except openai.APIConnectionError as problem:
            cause = problem.__cause__ or problem
            return [f"cannot reach {self._url} ({cause}); start the server, or correct `base_url`"]
        except (openai.AuthenticationError, openai.PermissionDeniedError):
            held = "is refused" if os.environ.get(self._variable) else "is not set"
            return [f"{self._url} wants a key: the environment variable {self._variable} {held}"]
        except openai.APIStatusError as problem:
            remedy = next((f"; {told}" for word, told in REMEDIES.items() if word in str(problem)), "")
            said = f"answers {problem.status_code} about the model {self._model}: {problem}"
            return [f"{self._url} {said}{remedy}"]
        except (openai.OpenAIError, ValueError) as problem:
            return [f"{self._url} does not speak the OpenAI protocol: {problem}"]
        return []

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """One verdict per comparison; those about which the server could not be asked are `failed`. (N,)"""
        orders = [order for item in comparisons for order in (item, item.swapped())]
        with self._client(self._retries) as client, ThreadPoolExecutor(self._parallel) as pool:
            replies = list(pool.map(lambda order: self._reply(client, order), orders))
        return [_verdict(*replies[place : place + 2]) for place in range(0, len(replies), 2)]

    def _reply(self, client: Any, item: Comparison) -> tuple[bool, Choice | None]:
        """(whether there was a reply, the verdict in it)."""
        import openai  # noqa: PLC0415

        try:
            return True, verdict_in(self._asked(client, worded(item)))
        except (
            openai.OpenAIError,
            ValueError,
        ):  # the library has tried again; what is no JSON is a ValueError
            return False, None

    def _asked(self, client: Any, messages: list[dict[str, str]]) -> str | None:
        reply = client.chat.completions.create(model=self._model, messages=messages, **self._sampling)
        choices = getattr(reply, "choices", None)
        if choices is None:
            raise ValueError("the reply has no choices")
        message = choices[0].message if choices else None
        return None if message is None else message.content

    def _client(self, retries: int) -> Any:
        from openai import OpenAI  # noqa: PLC0415

        key = os.environ.get(self._variable) or "none"
        return OpenAI(base_url=self._url, api_key=key, timeout=self._timeout, max_retries=retries)


def _verdict(forward: tuple[bool, Choice | None], backward: tuple[bool, Choice | None]) -> Verdict:
    """One verdict from both orders; in the second one the first answer is shown as B."""
    if not (forward[0] and backward[0]):
        return Verdict(None, "failed")
    if forward[1] is None or backward[1] is None:
        return Verdict(None, "unparsed")
    shown = SHARES[forward[1]], SHARES[backward[1]]
    return Verdict((shown[0] + 1 - shown[1]) / 2, None, sum(shown) / 2)
