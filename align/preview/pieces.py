"""Pieces: token ids + a loss mask -> what can be shown of them: text, whose it is, and what is learnt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

Span = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """Text of one token, or of the several that spell one character.

    `is_trained` marks what the loss is computed on, `is_template` what the chat template wrote, such as
    control tokens.
    """

    text: str
    ids: tuple[int, ...]
    is_trained: bool
    is_template: bool


def pieces(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], trained: Sequence[bool], contents: Sequence[str]
) -> list[Piece]:
    """The tokens of a row in order.

    Args:
        tokenizer: whose tokens they are.
        ids: token ids. (L,)
        trained: whether the loss is computed on each. (L,)
        contents: what the turns say, in order; whatever stands around it is the template's.
    """
    text = _decoded(tokenizer, ids)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    if list(encoded["input_ids"]) != list(ids):  # its text does not come back as the same tokens
        spans, said = None, []
    else:
        spans, said = encoded["offset_mapping"], list(_places(text, contents))
    found: list[Piece] = []
    end = 0
    for number, (token, is_trained) in enumerate(zip(ids, trained, strict=True)):
        special = token in tokenizer.all_special_ids
        if spans is None:
            found.append(Piece(_decoded(tokenizer, [token]), (token,), is_trained, special))
            continue
        start, stop = spans[number]
        if start < end and found and found[-1].is_trained == is_trained:
            grown = text[end:stop] if stop > end else ""
            found[-1] = replace(found[-1], text=found[-1].text + grown, ids=(*found[-1].ids, token))
        else:
            is_said = any(begin < stop and start < finish for begin, finish in said)
            found.append(Piece(text[start:stop], (token,), is_trained, special or not is_said))
        end = max(end, stop)
    return found


def _places(text: str, contents: Sequence[str]) -> Iterator[Span]:
    """Where each content stands in the rendered text; templates may strip its ends."""
    cursor = 0
    for content in contents:
        said = content.strip()
        start = text.find(said, cursor)
        if start >= 0:
            cursor = start + len(said)
            yield start, cursor


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
