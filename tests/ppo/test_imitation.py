"""Demonstrations beside PPO: their gradient is added, however they are cut, in an order of turns."""

from dataclasses import replace

import pytest
import torch

from align.data.errors import DataError
from align.data.records import Conversation, Message, Text
from align.models.rendering import render
from align.models.tokenizer import load_tokenizer
from align.ppo.imitation import Demonstration, Imitation, as_demonstrations
from align.ppo.update import PTX_TOKENS, Updater
from align.runtime import group
from align.runtime.engine import Engine
from tests.ppo.test_update import ALL, SETTINGS, engines, experience

DEMONSTRATIONS = [Demonstration([3, 4 + row], [*range(5, 8 + row)]) for row in range(6)]


def gradients(coefficient: float | None, rows: int | None = None) -> list[torch.Tensor]:
    """What one step of plain SGD at rate 1 took off the policy's weights."""
    policy, value = engines(learning_rate=1.0)
    before = [weight.detach().clone() for weight in policy.module.parameters()]
    batch = experience(*engines())
    imitation = None if coefficient is None else Imitation(DEMONSTRATIONS, coefficient, batch_size=6, seed=0)
    stats = Updater(policy, value, replace(SETTINGS, rows=rows), imitation).update(batch, ALL, (0,))
    assert (PTX_TOKENS in stats.sums) is (imitation is not None)
    return [old - weight.detach() for old, weight in zip(before, policy.module.parameters(), strict=True)]


def likelihood_gradient() -> list[torch.Tensor]:
    """Of the mean negative log-likelihood of all completion tokens, one row at a time by transformers."""
    model = engines()[0].module.model
    count = sum(len(item.completion) for item in DEMONSTRATIONS)
    for item in DEMONSTRATIONS:
        ids = torch.tensor([[*item.prompt, *item.completion]])
        labels = ids.clone()
        labels[:, : len(item.prompt)] = -100
        (model(ids, labels=labels).loss * len(item.completion) / count).backward()
    return [weight.grad for weight in model.parameters()]


@pytest.mark.parametrize("rows", [None, 1, 4])
def test_a_step_is_that_of_ppo_and_of_the_demonstrations_likelihood(rows: int | None) -> None:
    found, alone, added = gradients(0.5, rows), gradients(None, rows), likelihood_gradient()
    for both, ppo, own in zip(found, alone, added, strict=True):
        torch.testing.assert_close(both, ppo + 0.5 * own, rtol=1e-4, atol=1e-6)


def test_a_process_with_few_demonstrations_makes_as_many_passes_as_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under ZeRO-2 and 3 the others would wait for it; what its idle passes add is nothing."""
    alone = gradients(0.5, rows=4)
    called, passes = Engine.__call__, []

    def counted(engine: Engine, *given: torch.Tensor) -> object:
        passes.append(engine)
        return called(engine, *given)

    monkeypatch.setattr(group, "largest", lambda value, device: 9)
    monkeypatch.setattr(Engine, "__call__", counted)
    for one, filled in zip(alone, gradients(0.5, rows=4), strict=True):
        assert torch.equal(one, filled)
    assert len(passes) == 3 * 9, "demonstrations, policy and value model"


def test_a_text_is_written_from_its_first_word_on_in_pieces(tiny_model) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    end, text = tokenizer.eos_token_id, "The cat sat on the mat, and there it stayed."
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert as_demonstrations([Text(text)], tokenizer, None) == [Demonstration([end], [*ids, end])]

    pieces = as_demonstrations([Text(text)], tokenizer, 5)
    assert all(len(piece) <= 5 for piece in pieces) and len(pieces) > 2
    assert [token for piece in pieces for token in piece.completion] == [*ids, end]
    assert [piece.prompt[0] for piece in pieces] == [end, *(piece.completion[-1] for piece in pieces[:-1])]


def test_no_demonstration_moves_a_policy_that_is_held() -> None:
    policy, value = engines(learning_rate=1.0)
    imitation = Imitation(DEMONSTRATIONS, 1.0, batch_size=6, seed=0)
    held = [(None, 1.0)] * 8
    stats = Updater(policy, value, SETTINGS, imitation).update(experience(*engines()), held, (0,))
    assert not stats.policy_steps and PTX_TOKENS not in stats.sums
    assert all(weight.grad is None for weight in policy.module.parameters())


def test_processes_share_what_one_imitates_and_every_demonstration_has_its_turn() -> None:
    imitation = Imitation(DEMONSTRATIONS, 1.0, batch_size=4, seed=5)
    for step in range(3):
        shares = [imitation.batch(step, rank, 2) for rank in range(2)]
        assert sorted(map(len, [*shares[0], *shares[1]])) == sorted(map(len, imitation.batch(step)))
    seen = [len(item) for step in range(3) for item in imitation.batch(step)]
    assert sorted(seen) == sorted([*map(len, DEMONSTRATIONS)] * 2)


def test_the_last_turn_is_imitated_with_its_end(tiny_model) -> None:
    tokenizer = load_tokenizer(str(tiny_model), chat_template="plain")
    turns = [
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "Bye"),
        Message("assistant", "So long"),
    ]
    rows = [Conversation(tuple(turns)), Conversation((turns[0], Message("assistant", "Hello " * 90)))]
    (found,) = as_demonstrations(rows, tokenizer, longest=80)
    whole = tokenizer.decode([*found.prompt, *found.completion])
    assert whole == render(tokenizer, [turn.as_dict() for turn in turns])
    assert tokenizer.decode(found.completion).strip() == f"So long{tokenizer.eos_token}"
    with pytest.raises(DataError, match="none of 2 demonstrations fits into 3 tokens"):
        as_demonstrations(rows, tokenizer, longest=3)
