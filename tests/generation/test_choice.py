"""The drawn tokens follow the stated distribution, and each row's random numbers are its own."""

import numpy as np
import pytest
import torch

from align.generation.choice import NotFinite, draw, likeliest, row_uniforms, shaping
from align.generation.decoding import DecodingSpec


def test_draws_follow_softmax():
    logits = torch.tensor([0.5, -1.0, 2.0, -torch.inf, 0.0])
    count = 200_000
    uniforms = torch.rand(count, generator=torch.Generator().manual_seed(0))
    drawn, logprobs = draw(logits.expand(count, -1), uniforms)
    shares = torch.bincount(drawn, minlength=5) / count
    assert torch.allclose(shares, torch.softmax(logits, dim=-1), atol=0.005)
    assert shares[3] == 0
    assert torch.allclose(logprobs, logits.double().log_softmax(dim=-1)[drawn], atol=1e-12)


def test_the_extreme_uniforms_never_pick_an_excluded_token():
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]]).expand(2, -1)
    extremes = torch.tensor([0.0, np.nextafter(np.float32(1), np.float32(0))])
    assert draw(logits, extremes)[0].tolist() == [1, 2]


def test_nothing_is_chosen_from_what_is_not_a_number():
    for bad in (torch.tensor([[0.0, torch.nan]]), torch.tensor([[-torch.inf, torch.nan]])):
        with pytest.raises(NotFinite, match="weights are broken"):
            draw(bad, torch.tensor([0.3]))
        with pytest.raises(NotFinite):
            likeliest(bad)
    chosen, logprob = likeliest(torch.tensor([[0.0, 2.0, -torch.inf]]))
    assert chosen.tolist() == [1] and logprob.item() == pytest.approx(-np.log1p(np.exp(-2.0)))


def test_row_uniforms_are_a_function_of_seed_and_row():
    together = row_uniforms(5, range(8), steps=6)
    assert torch.equal(together[3], row_uniforms(5, [3], steps=6)[0])
    assert torch.equal(together[:, :4], row_uniforms(5, range(8), steps=4))
    assert not torch.equal(together, row_uniforms(6, range(8), steps=6))
    assert together.unique().numel() == together.numel()
    assert row_uniforms(-1, [0], steps=2).shape == (1, 2)


def test_shaping_keeps_the_nucleus_of_the_tempered_distribution():
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.15, 0.1]]))
    kept = shaping(DecodingSpec(temperature=0.5, top_p=0.8))(logits).isfinite()[0]
    tempered = torch.tensor([0.25, 0.0625, 0.0225, 0.01]) / 0.345  # squares, normalised: 0.72, 0.18, ...
    assert tempered[0] < 0.8 <= tempered[:2].sum()
    assert kept.tolist() == [True, True, False, False]
    top_three = shaping(DecodingSpec(temperature=1.0, top_k=3))(logits).isfinite()[0]
    assert top_three.tolist() == [True, True, True, False]
    assert torch.equal(shaping(DecodingSpec(temperature=1.0))(logits), logits)
