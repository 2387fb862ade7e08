"""A trained reward model scores as its weights say, whatever the batch, and a policy is not taken for one."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from align.config.plugin import PluginSpec
from align.data.errors import DataError
from align.data.records import Message, Prompt
from align.models.scalar import load_reward_model
from align.models.spec import ModelSpec
from align.models.tokenizer import load_tokenizer
from align.rewards.learned import LearnedReward


@pytest.fixture(scope="module")
def judge(tiny_model, tmp_path_factory):
    """A folder with a reward model: the tiny model and a random head."""
    torch.manual_seed(1)
    tokenizer = load_tokenizer(str(tiny_model))
    model = load_reward_model(str(tiny_model), ModelSpec(path=str(tiny_model)), tokenizer)
    folder = tmp_path_factory.mktemp("judge")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def asked(conversations):
    prompts = [Prompt(row.messages[:-1]) for row in conversations]
    return prompts, [row.messages[-1].content for row in conversations]


def test_scores_equal_the_head_on_the_last_token_one_by_one(judge, asked):
    model = AutoModelForSequenceClassification.from_pretrained(judge).eval()
    tokenizer = AutoTokenizer.from_pretrained(judge)
    expected = []
    for prompt, completion in zip(*asked, strict=True):
        text = f"User: {prompt.messages[0].content}\nAssistant: {completion}{tokenizer.eos_token}"
        ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            hidden = model.model(ids).last_hidden_state[0, -1]
            expected.append(float(model.score(hidden)))

    assert LearnedReward(str(judge), batch_size=5).score(*asked) == pytest.approx(expected, abs=1e-5)
    assert len(set(expected)) > 10


def test_bf16_is_close(judge, asked):
    full = torch.tensor(LearnedReward(str(judge)).score(*asked))
    half = torch.tensor(LearnedReward(str(judge), precision="bf16").score(*asked))
    assert 0 < (full - half).abs().max() < 0.1


def test_a_policy_is_not_taken_for_a_reward_model(tiny_model, asked):
    with pytest.raises(DataError, match="is no reward model"):
        LearnedReward(str(tiny_model)).score(*asked)


def test_no_completions_no_scores(judge):
    assert LearnedReward(str(judge)).score([], []) == []


def test_conversations_may_have_many_turns(judge):
    turns = tuple(
        Message(role, "what of the fox") for role in ("system", "user", "assistant", "user", "assistant")
    )
    reward = LearnedReward(str(judge))
    assert reward.score([Prompt(turns[:-1])], ["what of the fox"]) == reward.score_conversations([turns])


def test_a_conversation_longer_than_the_context_is_judged_by_its_end(judge, capsys):
    """Rotary positions would go on without an error, and absolute ones end the run."""
    reward = LearnedReward(str(judge))
    long = [Prompt((Message("user", f"{word} " + "what of the fox " * 200),)) for word in ("owl", "map")]
    one, other = reward.score(long, ["fox", "fox"])
    assert one == pytest.approx(other, abs=1e-6), "their beginnings are not read"
    assert one != reward.score([Prompt((Message("user", "what of the fox"),))], ["fox"])[0]
    told = capsys.readouterr().out
    assert told.count("without its beginning") == 1 and "exceeds the 256" in told


def test_the_model_argument_is_a_reference_that_can_be_located():
    plugin = PluginSpec.from_yaml(
        {"_target_": "align.rewards.learned.LearnedReward", "model": "stage:reward"}
    )
    assert (
        plugin.located(lambda text: text.replace("stage:", "/models/")).arguments["model"] == "/models/reward"
    )


def test_reading_the_signature_does_not_load_torch():
    code = (
        "import sys; from align.config.plugin import PluginSpec;"
        "PluginSpec.from_yaml({'_target_': 'align.rewards.learned.LearnedReward', 'model': 'x'}).build();"
        "import align.rewards.blend, align.rewards.rules; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
