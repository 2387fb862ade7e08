"""Benchmarks: rows as their authors published them -> prompts; each is a `format:` of a suite's source."""

from ast import literal_eval
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from align.data.formats.fields import field, optional_text, text
from align.data.records import Message, Prompt
from align.evaluation.variants.sandbox import attribute_of, statements

# TruthfulQA's right answer to what nobody can know (Lin et al. 2021, arXiv:2109.07958)
_NO_COMMENT = "I have no comment"


def ifeval(row: Mapping[str, Any]) -> Prompt:
    """IFEval (Zhou et al. 2023): `prompt`, `key`, `instruction_id_list`, `kwargs`."""
    reference = {name: field(row, name) for name in ("key", "instruction_id_list", "kwargs")}
    return _asked(text(row, "prompt"), reference)


def truthful_qa(row: Mapping[str, Any]) -> Prompt:
    """TruthfulQA: `Question`, `Best Answer`, lists of answers joined by `;`."""
    reference = {
        "correct": _listed(text(row, "Correct Answers")),
        "incorrect": _listed(text(row, "Incorrect Answers")),
        "answerable": text(row, "Best Answer").strip() != _NO_COMMENT,
        "category": optional_text(row, "Category"),
    }
    return _asked(text(row, "Question"), reference)


def halueval(row: Mapping[str, Any]) -> Prompt:
    """HaluEval (Li et al. 2023, arXiv:2305.11747): does a response hold made-up information? yes or no."""
    question = (
        "Does the response to the instruction contain information that is made up, or cannot be verified?\n"
        f"\nInstruction: {text(row, 'user_query')}\n\nResponse: {text(row, 'chatgpt_response')}\n\n"
        "Answer yes or no."
    )
    return _asked(question, {"answer": text(row, "hallucination")})


def xstest(row: Mapping[str, Any]) -> Prompt:
    """XSTest (Röttger et al. 2024, arXiv:2308.01263): `prompt`, `label` (safe or unsafe), `type`."""
    label = text(row, "label")
    return _asked(
        text(row, "prompt"),
        {"label": label, "harmful": label == "unsafe", "type": optional_text(row, "type")},
    )


def harmful_request(row: Mapping[str, Any]) -> Prompt:
    """AdvBench, JailbreakBench, HarmBench: a request to decline as `goal`, after its `context` if any."""
    context = optional_text(row, "context")
    goal = text(row, "goal")
    return _asked(f"{context}\n\n{goal}" if context.strip() else goal, {"harmful": True})


def kobbq(row: Mapping[str, Any]) -> Prompt:
    """KoBBQ (Jin et al. 2024, arXiv:2307.16778): who is it? Ambiguous contexts do not say."""
    choices = [str(choice) for choice in literal_eval(text(row, "choices"))]
    question = f"{text(row, 'context')}\n\n{text(row, 'question')}\n\n보기: {', '.join(choices)}"
    sample = text(row, "sample_id").split("-")
    reference = {
        "choices": choices,
        "answer": text(row, "answer"),
        "context": "ambiguous" if "amb" in sample else "disambiguated",
        "category": sample[0],
    }
    return _asked(question, reference)


_RELATIONS = {"entailment": "참", "neutral": "알 수 없음", "contradiction": "거짓"}


def klue_nli(row: Mapping[str, Any]) -> Prompt:
    """KLUE-NLI (Park et al. 2021, arXiv:2105.09680): does the premise say so?"""
    question = (
        f"전제: {text(row, 'premise')}\n가설: {text(row, 'hypothesis')}\n\n전제가 참일 때 가설은 참입니까, "
        "거짓입니까, 알 수 없습니까?"
    )
    answer = _RELATIONS[text(row, "gold_label")]
    return _asked(question, {"choices": list(_RELATIONS.values()), "answer": answer})


def fact_choices(row: Prompt) -> Prompt:
    """A `map`: a fact of the sandbox as a choice between the true statement and the false ones."""
    known = row.reference
    attribute = attribute_of(row)
    right, *wrong = (
        statements(attribute, known["subject"], value)[0] for value in (known["value"], *known["rivals"])
    )
    return replace(row, reference={**known, "choices": [right, *wrong], "answer": right})


def _asked(question: str, reference: Mapping[str, Any]) -> Prompt:
    return Prompt((Message("user", question),), reference)


def _listed(answers: str) -> list[str]:
    return [item.strip() for item in answers.split(";") if item.strip()]
