"""The contract between a model folder and the stage that takes it over."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from align.data.contract import FILE, contract_of, differences, read_contract
from align.data.errors import DataError
from align.models.spec import TokenizerSpec
from align.models.tokenizer import build_tokenizer


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerBase:
    return build_tokenizer(TokenizerSpec(vocab_size=300), ["the fox and the owl"] * 4)


def test_a_saved_tokenizer_keeps_its_contract(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    contract_of(tokenizer).save(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    saved = read_contract(tmp_path)
    assert saved is not None and saved == contract_of(tokenizer)
    assert differences(saved, contract_of(AutoTokenizer.from_pretrained(tmp_path))) == []


def test_differences_are_told_with_both_values(tokenizer: PreTrainedTokenizerBase) -> None:
    before = contract_of(tokenizer)
    tokenizer.chat_template = "{{ messages }}"
    tokenizer.pad_token = tokenizer.eos_token
    found = differences(before, contract_of(tokenizer), ("the policy", "the reward model"))
    assert [problem.partition(":")[0] for problem in found] == ["template_sha256", "pad", "special_tokens"]
    eos = f"{tokenizer.eos_token} ({tokenizer.eos_token_id})"
    assert found[1] == f"pad: the policy has {before.pad}, the reward model has {eos}"


def test_new_tokens_change_the_vocabulary(tokenizer: PreTrainedTokenizerBase) -> None:
    before = contract_of(tokenizer)
    tokenizer.add_tokens(["<|new|>"])
    after = contract_of(tokenizer)
    assert after.vocabulary_size == before.vocabulary_size + 1
    assert {problem.partition(":")[0] for problem in differences(before, after)} == {
        "vocabulary_sha256",
        "vocabulary_size",
    }


def test_a_beginning_that_the_tokenizer_adds_by_itself(tokenizer: PreTrainedTokenizerBase) -> None:
    from tokenizers.processors import TemplateProcessing

    before = contract_of(tokenizer)
    eos, number = tokenizer.eos_token, tokenizer.eos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{eos} $A {eos} {eos}", special_tokens=[(eos, number)]
    )
    after = contract_of(tokenizer)
    assert (before.opening, before.closing) == ((), ())
    assert (after.opening, after.closing) == ((number,), (number, number))
    assert f"opening: one has none, the other has {number}" in differences(before, after)


def test_folders_without_a_contract_and_with_a_damaged_one(tmp_path: Path) -> None:
    assert read_contract(tmp_path) is None
    for text in ("{", "[]", '{"bos": null}'):
        (tmp_path / FILE).write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match="not a contract"):
            read_contract(tmp_path)
