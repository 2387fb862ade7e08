"""Tools in text: calls and the tools on offer, written as the Hermes convention has them.

Qwen's and Hermes' templates write the same from structured fields; every other template passes it on as text.
Source: NousResearch, https://github.com/NousResearch/Hermes-Function-Calling
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from align.data.records import Message, RowError

OFFER = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>{tools}\n</tools>\n\n"
    "For each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{{"name": <function-name>, "arguments": <args-json-object>}}\n</tool_call>'
)


def called(call: Mapping[str, Any] | str) -> str:
    """One call as text: `{"name", "arguments"}`, as a mapping or written in JSON; arguments may be JSON too.

    Raises:
        RowError: it is not JSON, or has no name.
    """
    given = _parsed(call, "a tool call")
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise RowError("a tool call needs a `name` and `arguments`", reason="a malformed tool call")
    arguments = _parsed(given.get("arguments", {}), "the arguments of a tool call")
    return f"<tool_call>\n{_written({'name': given['name'], 'arguments': arguments})}\n</tool_call>"


def with_tools(messages: Sequence[Message], tools: Any) -> tuple[Message, ...]:
    """The same turns with the tools on offer at the end of the system turn, which is added if need be.

    `tools` is a list of descriptions, or that list written in JSON; none, blank or empty changes nothing.

    Raises:
        RowError: `tools` is something else.
    """
    offered = _parsed(tools, "tools") if tools is not None and tools != "" else []
    if not isinstance(offered, list):
        raise RowError(
            f"tools is {type(offered).__name__}, expected a list (or one written in JSON)",
            reason="tools is not a list",
        )
    if not offered:
        return tuple(messages)
    offer = OFFER.format(tools="".join(f"\n{_written(tool)}" for tool in offered))
    if messages and messages[0].role == "system":
        return (Message("system", f"{messages[0].content}\n\n{offer}"), *messages[1:])
    return (Message("system", offer), *messages)


def _parsed(value: Any, what: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as cause:
        raise RowError(f"{what} is not JSON ({cause})", reason=f"{what} is not JSON") from cause


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
