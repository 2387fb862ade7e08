"""Rows become the tokens TRL would make of them; what is trained is the completion with its EOS."""

from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

from align.data.records import Conversation, Message, PreferencePair, Text
from align.models.causal import load_policy
from align.models.scalar import load_reward_model
from align.models.spec import ModelSpec
from align.models.templates import TEMPLATES
from align.models.tokenizer import load_tokenizer
from align.training.token_columns import IGNORED, TokeniseError
from align.training.tokenise import tokenise_conversations, tokenise_pairs, tokenise_texts
from tests.training.conftest import Settings

EVERY_TEMPLATE = pytest.mark.parametrize("template", TEMPLATES)
Make = Callable[[str], PreTrainedTokenizerBase]

AWKWARD = (
    Conversation((Message("user", "(what?)"), Message("assistant", "\n  (this: é, 한국어)  "))),
    Conversation(
        (
            Message("user", "yes"),
            Message("assistant", "yes"),
            Message("user", "yes"),
            Message("assistant", "yes"),
        )
    ),
    Conversation((Message("system", "Be brief."), Message("user", "Assistant:"), Message("assistant", ":"))),
)


@pytest.fixture
def speaking(tiny_model: Path) -> Make:
    return lambda template: load_tokenizer(str(tiny_model), chat_template=template)


@EVERY_TEMPLATE
def test_only_the_last_answer_and_its_end_are_trained(template: str, speaking: Make) -> None:
    tokenizer = speaking(template)
    for row, tokens in zip(AWKWARD, tokenise_conversations(AWKWARD, tokenizer, None).dataset, strict=True):
        trained = [
            token
            for token, label in zip(tokens["input_ids"], tokens["labels"], strict=True)
            if label != IGNORED
        ]
        assert all(
            label in (IGNORED, token)
            for token, label in zip(tokens["input_ids"], tokens["labels"], strict=True)
        )
        assert trained[-1] == tokenizer.eos_token_id and trained.count(tokenizer.eos_token_id) == 1
        assert tokenizer.decode(trained[:-1]).strip() == row.messages[-1].content.strip()
        assert tokens["length"] == len(tokens["input_ids"])


@EVERY_TEMPLATE
@pytest.mark.parametrize("places", [(1,), (5,), (1, 5), (1, 3, 5)])
def test_turns_that_are_to_be_learnt_are_and_no_others(
    template: str, places: tuple[int, ...], speaking: Make
) -> None:
    tokenizer = speaking(template)
    said = ["yes", "one", "no", "(two: é)", "what", "three"]
    turns = tuple(Message("assistant" if n % 2 else "user", text) for n, text in enumerate(said))
    [tokens] = tokenise_conversations([Conversation(turns, places)], tokenizer, None).dataset
    trained = [token for token in tokens["labels"] if token != IGNORED]
    ends = [number for number, token in enumerate(trained) if token == tokenizer.eos_token_id]
    starts = [0, *(end + 1 for end in ends[:-1])]
    assert all(
        label in (IGNORED, token) for token, label in zip(tokens["input_ids"], tokens["labels"], strict=True)
    )
    assert [tokenizer.decode(trained[a:b]).strip() for a, b in zip(starts, ends, strict=True)] == [
        said[place] for place in places
    ]
    whole = tokenise_conversations([Conversation(turns)], tokenizer, None).dataset[0]
    assert whole["input_ids"] == tokens["input_ids"]
    if places == (5,):
        assert whole["labels"] == tokens["labels"]


def test_a_template_that_rewrites_earlier_turns_cannot_teach_them(speaking: Make) -> None:
    tokenizer = speaking("chatml")
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "message['content']", "(message['content'] if loop.last else message['content'] | upper)"
    )
    turns = tuple(Message("assistant" if n % 2 else "user", "yes") for n in range(4))
    with pytest.raises(TokeniseError):
        tokenise_conversations([Conversation(turns, (1, 3))], tokenizer, None)


@EVERY_TEMPLATE
def test_prompt_tokens_are_those_of_the_prompt_alone(template: str, speaking: Make) -> None:
    tokenizer = speaking(template)
    for row, tokens in zip(AWKWARD, tokenise_conversations(AWKWARD, tokenizer, None).dataset, strict=True):
        prompt = [
            token
            for token, label in zip(tokens["input_ids"], tokens["labels"], strict=True)
            if label == IGNORED
        ]
        turns = [message.as_dict() for message in row.messages[:-1]]
        alone = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        assert prompt == alone


def test_conversations_are_tokenised_as_trl_does(
    tiny_model: Path,
    tokenizer: PreTrainedTokenizerBase,
    conversations: list[Conversation],
    settings: Settings,
) -> None:
    spec = ModelSpec(path=str(tiny_model))
    raw = [
        {"prompt": [turn.as_dict() for turn in row.messages[:-1]], "completion": [row.messages[-1].as_dict()]}
        for row in conversations
    ]
    theirs = SFTTrainer(
        model=load_policy(spec.path, spec, tokenizer),
        args=SFTConfig(**settings()),
        train_dataset=Dataset.from_list(raw),
        processing_class=tokenizer,
    ).train_dataset
    ours = tokenise_conversations(conversations, tokenizer, None).dataset

    assert ours["input_ids"][:] == theirs["input_ids"][:]
    assert ours["labels"][:] == theirs["labels"][:]


def test_pairs_are_tokenised_as_trl_does(
    tiny_model: Path, tokenizer: PreTrainedTokenizerBase, pairs: list[PreferencePair], settings: Settings
) -> None:
    spec = ModelSpec(path=str(tiny_model))
    raw = Dataset.from_list(
        [
            {
                side: [turn.as_dict() for turn in getattr(row, side)]
                for side in ("prompt", "chosen", "rejected")
            }
            for row in pairs
        ]
    )
    dpo = DPOTrainer(
        model=load_policy(spec.path, spec, tokenizer),
        ref_model=load_policy(spec.path, spec, tokenizer),
        args=DPOConfig(**settings()),
        train_dataset=raw,
        processing_class=tokenizer,
    ).train_dataset
    reward = RewardTrainer(
        model=load_reward_model(spec.path, spec, tokenizer),
        args=RewardConfig(**settings()),
        train_dataset=raw,
        processing_class=tokenizer,
    ).train_dataset
    ours = tokenise_pairs(pairs, tokenizer, None)
    joined = tokenise_pairs(pairs, tokenizer, None, joined=True)

    for side in ("prompt_ids", "chosen_ids", "rejected_ids"):
        assert ours.dataset[side][:] == dpo[side][:]
    for side in ("chosen_ids", "rejected_ids"):
        assert joined.dataset[side][:] == reward[side][:]


def test_rows_that_are_too_long_are_dropped_and_counted(
    tokenizer: PreTrainedTokenizerBase, conversations: list[Conversation], pairs: list[PreferencePair]
) -> None:
    lengths = tokenise_conversations(conversations, tokenizer, None).dataset["length"]
    limit = sorted(lengths)[7]
    kept = tokenise_conversations(conversations, tokenizer, limit)
    short = tokenise_pairs(pairs, tokenizer, 40)

    assert max(kept.dataset["length"]) <= limit
    assert kept.dropped == sum(length > limit for length in lengths) > 0
    assert kept.counts == {
        "rows": 16 - kept.dropped,
        "dropped": kept.dropped,
        "longest": limit,
    }
    assert len(short.dataset) + short.dropped == len(pairs)
    with pytest.raises(TokeniseError, match="none of 16 rows can be trained on: .* 3 are read .16 such rows"):
        tokenise_conversations(conversations, tokenizer, 3)


def test_margins_are_kept_where_there_are_any(
    tokenizer: PreTrainedTokenizerBase, pairs: list[PreferencePair]
) -> None:
    row = pairs[0]
    sure = PreferencePair(row.prompt, row.chosen, row.rejected, margin=1.5)

    assert "margin" not in tokenise_pairs(pairs, tokenizer, None).dataset.column_names
    assert tokenise_pairs([sure, row], tokenizer, None, joined=True).dataset["margin"][:] == [1.5, 0.0]


def test_texts_become_full_blocks_with_an_end_after_each(tokenizer: PreTrainedTokenizerBase) -> None:
    texts = [Text("the fox"), Text("it is red then it is blue"), Text("go away")]
    blocks = tokenise_texts(texts, tokenizer, 4).dataset
    stream = [
        token
        for row in texts
        for token in [*tokenizer(row.text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    ]

    assert [token for block in blocks["input_ids"] for token in block] == stream[: len(stream) // 4 * 4]
    assert blocks["labels"][:] == blocks["input_ids"][:]
    with pytest.raises(TokeniseError, match="fewer than one block_length of 1000"):
        tokenise_texts(texts, tokenizer, 1000)


def test_rows_come_out_the_same_in_pieces(
    tokenizer: PreTrainedTokenizerBase,
    conversations: list[Conversation],
    pairs: list[PreferencePair],
    texts: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made() -> list[dict[str, list[object]]]:
        plain = [Text(text) for text in texts]
        return [
            tokenise_conversations(conversations, tokenizer, 30).dataset.to_dict(),
            tokenise_pairs(pairs, tokenizer, 40).dataset.to_dict(),
            tokenise_pairs(pairs, tokenizer, None, joined=True).dataset.to_dict(),
            tokenise_texts(plain, tokenizer, 7).dataset.to_dict(),
        ]

    at_once = made()
    monkeypatch.setattr("align.training.tokenise.CHUNK", 3)

    assert made() == at_once


def test_a_template_that_rewrites_the_prompt_is_refused(
    tokenizer: PreTrainedTokenizerBase, conversations: list[Conversation]
) -> None:
    tokenizer.chat_template = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(TokeniseError, match="choose another chat_template"):
        tokenise_conversations(conversations, tokenizer, None)
