"""Contract: what a model and its tokenizer agreed on in training, carried in every model folder.

A stage that takes a model over compares: with another template, vocabulary, end of turn or beginning of text
the model reads something else than it was taught, and nothing else would say so.

Writes  align_contract.json
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align.data.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE = "align_contract.json"


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What must be the same on both sides.

    A special token is told as `<token> (id)`, or as none. `opening` and `closing` are the ids that the
    tokenizer puts around a plain text by itself: a beginning of text there comes on top of the template's.
    """

    template_sha256: str | None
    vocabulary_sha256: str
    vocabulary_size: int
    bos: str | None
    eos: str | None
    pad: str | None
    special_tokens: tuple[str, ...]
    opening: tuple[int, ...]
    closing: tuple[int, ...]

    def save(self, folder: Path) -> None:
        """Write it beside the tokenizer."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")


def contract_of(tokenizer: "PreTrainedTokenizerBase") -> Contract:
    """Read the contract off a tokenizer."""
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    template = tokenizer.chat_template
    opening, closing = _surroundings(tokenizer)
    return Contract(
        template_sha256=None if template is None else _sha256(template),
        vocabulary_sha256=_sha256(vocabulary),
        vocabulary_size=len(vocabulary),
        bos=_told(tokenizer.bos_token, tokenizer.bos_token_id),
        eos=_told(tokenizer.eos_token, tokenizer.eos_token_id),
        pad=_told(tokenizer.pad_token, tokenizer.pad_token_id),
        special_tokens=tuple(
            f"{token} ({number})"
            for number, token in sorted(
                zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
            )
        ),
        opening=opening,
        closing=closing,
    )


def read_contract(folder: Path) -> Contract | None:
    """The contract in a model folder; None where there is none, as in models made elsewhere.

    Raises:
        DataError: the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
        }
        return Contract(**values)
    except (ValueError, TypeError, AttributeError) as cause:
        raise DataError(f"{file}: not a contract ({cause}); build the model again") from cause


def differences(
    one: Contract | None, other: Contract | None, names: Sequence[str] = ("one", "the other")
) -> list[str]:
    """Where two contracts differ, both values told; empty where the models understand each other.

    What nothing is known of differs in nothing.
    """
    if one is None or other is None:
        return []
    return [
        f"{item.name}: {names[0]} has {_shown(mine, theirs)}, {names[1]} has {_shown(theirs, mine)}"
        for item in fields(Contract)
        if (mine := getattr(one, item.name)) != (theirs := getattr(other, item.name))
    ]


def _surroundings(tokenizer: "PreTrainedTokenizerBase") -> tuple[tuple[int, ...], tuple[int, ...]]:
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next(
        (place for place in range(len(whole)) if whole[place : place + len(bare)] == bare), len(whole)
    )
    return tuple(whole[:start]), tuple(whole[start + len(bare) :])


def _told(token: Any, number: int | None) -> str | None:
    return None if token is None else f"{token} ({number})"


def _shown(value: object, other: object) -> str:
    """A value; of two lists only what the other has not."""
    if isinstance(value, tuple):
        own = [item for item in value if not isinstance(other, tuple) or item not in other]
        return ", ".join(map(str, own)) or ("the rest" if value else "none")
    return "none" if value is None else str(value)


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()
