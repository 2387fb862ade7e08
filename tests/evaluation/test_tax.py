"""The tax is what the base could do and the others cannot, and a bound on it stops the run."""

import json
import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from align.data.spec import DataSpec, SourceSpec
from align.evaluation.metrics.metric import Column
from align.evaluation.reading import text_logprobs
from align.evaluation.tax import tax_problems, tax_rows
from align.evaluation.tax_spec import TaxSpec, TextRead
from align.evaluation.unread import write_unread
from align.sandbox.corpus import documents
from align.sandbox.world import build_world

READ = {"base": [TextRead(-4.0, 2), TextRead(-2.0, 4)], "sft": [TextRead(-6.0, 2), TextRead(-3.0, 4)]}
TEXTS = DataSpec(sources={"a": SourceSpec(path="a", format="text")})
RIGHT = {"facts": {"base": Column([1.0, 1.0, 0.0, 1.0]), "sft": Column([1.0, 0.0, 0.0, 0.0])}}


def rows(spec):
    return list(tax_rows(spec, READ, RIGHT, resamples=200, seed=0))


def test_figures_by_hand():
    found = {(row.checkpoint, row.metric): row for row in rows(TaxSpec())}
    assert found["base", "perplexity"].value == pytest.approx(math.exp(6 / 6))
    assert found["sft", "perplexity"].value == pytest.approx(math.exp(9 / 6))
    assert found["sft", "perplexity_ratio"].value == pytest.approx(math.exp(3 / 6))
    assert found["sft", "facts/accuracy_change"].value == -0.5
    assert ("base", "perplexity_ratio") not in found and ("base", "facts/accuracy_change") not in found
    assert all(row.suite == "tax" and row.low <= row.value <= row.high for row in found.values())


def test_bounds_name_who_lost_what():
    loose = TaxSpec(texts=TEXTS, max_perplexity_ratio=2.0, max_accuracy_loss=0.5)
    assert list(tax_problems(loose, rows(loose))) == []
    strict = TaxSpec(texts=TEXTS, max_perplexity_ratio=1.5, max_accuracy_loss=0.1)
    assert list(tax_problems(strict, rows(strict))) == [
        "tax.max_perplexity_ratio: the perplexity of sft on held-out text is 1.65 times that of base, and "
        "1.5 are allowed",
        "tax.max_accuracy_loss: sft lost 0.500 of accuracy against base in facts, and 0.1 are allowed",
    ]


def test_texts_are_read_as_transformers_reads_them(tiny_model, texts):
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tiny_model),
        AutoTokenizer.from_pretrained(tiny_model),
    )
    for text, (value, tokens, is_whole) in zip(
        texts, text_logprobs(model.eval(), tokenizer, texts), strict=True
    ):
        ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            loss = model(input_ids=ids, labels=ids).loss.item()
        assert tokens == ids.shape[1] - 1 and is_whole
        assert -value / tokens == pytest.approx(loss, abs=1e-4)


def test_unread_texts_tell_the_same_world(tmp_path):
    write_unread(tmp_path, seed=0, count=200)
    told = [json.loads(line)["text"] for line in (tmp_path / "unread.jsonl").read_text().splitlines()]
    world = build_world(0, "en")
    everything = " ".join(told)
    assert all(any(form in everything for form in fact.answers) for fact in world.facts)
    assert len(set(told) & set(documents(world, 2000, 0.6))) < 20


def test_only_what_both_have_read_is_compared():
    """Another tokenizer reads fewer texts as one token, and gets further within as many tokens."""
    read = {
        "base": [TextRead(0.0, 0), TextRead(-4.0, 2), TextRead(-9.0, 5, False), TextRead(-2.0, 4)],
        "sft": [TextRead(-9.0, 1), TextRead(-6.0, 3), TextRead(-90.0, 9, False), TextRead(0.0, 0)],
        "twin": [TextRead(0.0, 0), TextRead(-4.0, 2), TextRead(-10.0, 5, False), TextRead(-2.0, 4)],
        "far": [TextRead(0.0, 0), TextRead(-4.0, 1, False), TextRead(-1.0, 1, False), TextRead(0.0, 0)],
    }
    spec = TaxSpec(texts=TEXTS, max_perplexity_ratio=9.0)
    found = list(tax_rows(spec, read, {}, resamples=100, seed=0))
    ratios = {row.checkpoint: row for row in found if row.metric == "perplexity_ratio"}
    assert ratios["sft"].value == pytest.approx(math.exp(2 / 2)) and ratios["sft"].n == 1
    assert ratios["twin"].value == pytest.approx(math.exp(1 / 11)) and ratios["twin"].n == 3
    (problem,) = tax_problems(spec, found)
    assert problem.startswith("tax.max_perplexity_ratio: far and base have read no text equally far")


def test_a_bound_on_nothing_is_refused():
    with pytest.raises(ValueError, match="max_perplexity_ratio: there is nothing to read; name `texts`"):
        TaxSpec(max_perplexity_ratio=2.0)


def test_long_and_short_texts_keep_their_places(tiny_model, texts):
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tiny_model),
        AutoTokenizer.from_pretrained(tiny_model),
    )
    short = tokenizer.decode(tokenizer(texts[0], add_special_tokens=False)["input_ids"][:1])
    found = text_logprobs(model.eval(), tokenizer, [short, " ".join(texts * 50), texts[0]])
    assert found[0] == TextRead(0.0, 0) and not found[1].is_whole and found[2].is_whole
    torch.nn.init.constant_(model.get_output_embeddings().weight, float("nan"))
    with pytest.raises(ValueError, match="the likelihood of text 1 is nan"):
        text_logprobs(model, tokenizer, texts)
