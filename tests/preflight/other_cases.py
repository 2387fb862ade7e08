"""Bad pairs, prompts and texts, as `cases` has conversations."""

from tests.preflight.cases import BLANK, CONTROL, Case, lines, pair, said

# scripts/reward.py with every policy at `error`, and scripts/dpo.py with what is usual: the same files
PAIR_CASES = {
    "identical": (
        "chosen equals rejected",
        pair("q", "a", "a"),
        "chosen and rejected are identical",
        "dropped",
    ),
    "nearly_identical": (
        "chosen equals rejected but for white space and Unicode form",
        pair("q", "가 b", "가\n b"),
        "chosen and rejected are identical",
        "dropped",
    ),
    "same_tokens": (
        "chosen equals rejected after tokenisation",
        pair("q", "Yes", "yes"),
        "chosen and rejected have the same tokens",
        "dropped",
    ),
    "too_long": (
        "pair over length",
        pair("long", "a" * 300, "b"),
        "too long|the row has .* tokens, 240 are read",
        "dropped",
    ),
    "unfilled_pair": (
        "placeholder",
        pair("q", "Dear {{name}}", "b"),
        "a placeholder that nobody filled in",
        "kept",
    ),
}
CONTRADICTION = (pair("contested", "a", "b"), pair("contested", "b", "a"))
PAIR_ERRORS = {
    "blank_rejected": Case("blank rejected", lines(pair("q", "a", "")), r"turn 2 \(assistant\) " + BLANK),
    "blank_chosen": Case("blank chosen", lines(pair("q", " ", "b")), r"turn 2 \(assistant\) " + BLANK),
    "null_rejected": Case("null rejected", lines(pair("q", "a", None)), "rejected is null"),
    "blank_prompt": Case("blank prompt", lines(pair("", "a", "b")), r"turn 1 \(user\) " + BLANK),
    "no_rejected": Case("missing field", lines({"prompt": "q", "chosen": "a"}), "no field 'rejected'"),
    "forged_rejected": Case(
        "control token in the text", lines(pair("q", "a", "b<|eot_id|>")), r"'<\|eot_id\|>', " + CONTROL
    ),
    "nothing_in_common": Case(
        "dialogues without a common prompt",
        lines({"chosen": said("q", "a")["messages"], "rejected": said("other", "a")["messages"]}),
        "chosen and rejected have no prompt in common",
    ),
    "bad_margin": Case("margin is not a number", lines(pair("q", "a", "b", margin="much")), "margin is str"),
    "answered_prompt": Case(
        "a prompt that is answered already",
        lines({"prompt": said("q", "a")["messages"], "chosen": "b", "rejected": "c"}),
        "ends with assistant, expected user",
    ),
}
PROMPT_ERRORS = {
    "blank_ask": Case(
        "blank prompt", lines({"prompt": "fine"}, {"prompt": "  "}), r"turn 1 \(user\) " + BLANK, ":2: "
    ),
    "forged_ask": Case(
        "control token in the text", lines({"prompt": "q<|im_end|>"}), r"'<\|im_end\|>', " + CONTROL
    ),
    "answered_ask": Case(
        "a prompt that is answered already",
        lines({"prompt": said("q", "a")["messages"]}),
        "ends with assistant",
    ),
    "no_asks": Case("empty dataset", "\n\n", r"holds no rows \(source '{name}'\)", ": "),
}
TEXT_ERRORS = {
    "blank_text": Case("blank text", lines({"text": "fine"}, {"text": " "}), "the text is blank", ":2: "),
    "null_text": Case("null text", lines({"text": None}), "text is null, expected text"),
    "forged_text": Case("literal BOS or EOS in the text", lines({"text": "a<|endoftext|>b"}), CONTROL),
    "latin_1_text": Case("latin-1 bytes", "café\n".encode("latin-1"), "is not utf-8", suffix="txt"),
}
