"""Secret: values that must not be written to disk or shown, recognised by the name of their key."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
SECRET = re.compile(r"(^|[_\-.])(api_?key|key|token|secret|password|passwd)$", re.IGNORECASE)
VOCABULARY = re.compile(
    r"(^|[_\-.])(bos|eos|pad|unk|sep|cls|mask|image|video|additional_special)_token$", re.IGNORECASE
)


def is_secret(key: str) -> bool:
    """Whether a key names a credential: `hub_token` does, `eos_token` and `max_new_tokens` do not."""
    return bool(SECRET.search(key)) and not VOCABULARY.search(key)


def masked(value: Any) -> Any:
    """A copy in which every credential is replaced by `***`."""
    if isinstance(value, Mapping):
        return {
            key: MASK if isinstance(item, str) and is_secret(str(key)) else masked(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value
