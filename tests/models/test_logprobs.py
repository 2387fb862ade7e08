"""Log-probabilities and entropies of a response against golden numbers: T1."""

import pytest
import torch

from align.models.logprobs import SelectedLogprobs, logprobs_with_entropy
from tests.ppo.conftest import GOLDEN, same

GATHER = GOLDEN["logprob_gather"]
NAMES = {1.0: "tau1", 0.5: "tau0_5"}


@pytest.mark.parametrize("temperature", GATHER["inputs"]["temperatures"])
def test_the_token_at_column_t_is_judged_by_the_logits_before_it(temperature: float) -> None:
    """The states' last layer is the identity, so that they are the logits; fp32, as always here."""
    inputs, name = GATHER["inputs"], NAMES[temperature]
    ids, logits = torch.tensor(inputs["input_ids"]), torch.tensor(inputs["logits"])
    start = inputs["P"]
    hidden = logits[:, start - 1 : -1].flatten(0, 1)
    targets, shape = ids[:, start:].flatten(), ids[:, start:].shape
    given = (hidden, torch.eye(hidden.shape[1]), None, targets, temperature)

    logprobs, entropy = logprobs_with_entropy(*given)

    same(logprobs.view(shape), GATHER["outputs"][f"logprobs_{name}"], 1e-6)
    same(entropy.view(shape), GATHER["outputs"][f"entropy_{name}"], 1e-6)
    same(SelectedLogprobs.apply(*given)[0].view(shape), GATHER["outputs"][f"logprobs_{name}"], 1e-6)
