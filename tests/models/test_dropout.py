"""No dropout rate is left anywhere: neither in modules, nor where attention reads it, nor in an adapter."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from align.models.dropout import disable_dropout

SIZES = {"vocab_size": 41, "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2}


def llama() -> nn.Module:
    return LlamaForCausalLM(LlamaConfig(**SIZES, num_attention_heads=2, attention_dropout=0.5))


def gpt2() -> nn.Module:
    rates = {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5}
    return GPT2LMHeadModel(GPT2Config(vocab_size=41, n_embd=24, n_layer=2, n_head=2, **rates))


@pytest.mark.parametrize("make", [llama, gpt2])
@pytest.mark.parametrize("has_adapter", [False, True])
def test_a_model_in_training_mode_says_the_same_twice(make, has_adapter: bool) -> None:
    """T2: gradient checkpointing needs training mode, which switches dropout on again.

    Earlier code looked at modules alone, and attention reads an attribute.
    """
    torch.manual_seed(0)
    model: Any = make()
    if has_adapter:
        lora = LoraConfig(r=4, lora_dropout=0.5, target_modules="all-linear", init_lora_weights=False)
        model = get_peft_model(model, lora)
    ids = torch.arange(10)[None]
    with torch.no_grad():
        assert not torch.equal(*(model.train()(input_ids=ids).logits for _ in range(2)))
        disable_dropout(model)
        assert torch.equal(*(model.train()(input_ids=ids).logits for _ in range(2)))


def test_rates_that_code_of_its_own_may_read_are_zero_whatever_they_are_called() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.resid_pdrop, self.drop_path, self.router_jitter_noise, self.layerdrop = 0.1, 0.1, 0.1, 0.1
            self.scale = 0.1

    layer, model = Layer(), gpt2()
    disable_dropout(layer)
    assert {name for name, value in vars(layer).items() if value == 0.1} == {"scale"}
    disable_dropout(model)
    config: Any = model.config
    assert [config.resid_pdrop, config.embd_pdrop, config.attn_pdrop] == [0.0, 0.0, 0.0]
