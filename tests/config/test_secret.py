"""Secrets are masked by the name of their key, and nothing else is."""

import pytest

from align.config.secret import MASK, is_secret, masked


@pytest.mark.parametrize(
    "key", ["token", "hub_token", "HF_TOKEN", "api_key", "apikey", "wandb.key", "db-password", "secret"]
)
def test_credentials_are_recognised(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize(
    "key",
    ["max_new_tokens", "eos_token", "pad_token", "tokenizer", "control_tokens", "keys", "monkey", "keep"],
)
def test_vocabulary_is_not_a_credential(key: str) -> None:
    assert not is_secret(key)


def test_only_text_is_masked_at_any_depth() -> None:
    given = {"a": [{"hub_token": "x", "beta": 1}], "token": None, "key": {"password": "y"}}
    assert masked(given) == {"a": [{"hub_token": MASK, "beta": 1}], "token": None, "key": {"password": MASK}}
    assert given["token"] is None
