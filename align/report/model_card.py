"""Model card: an artifact's lineage and its evaluation -> the README.md that goes with its weights.

Source  Mitchell et al. 2019, "Model cards for model reporting", arXiv:1810.03993
"""

from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from align.evaluation.rows import win_rate_parts
from align.report.collect import Facts, StageFacts
from align.report.measured import share_metrics
from align.report.results import decoding_of
from align.report.sources import card_of, sources
from align.report.words import duration, interval, number

ABOUT = {
    "pretrain": "A base model that was trained from scratch on plain text.",
    "sft": "A model that was taught by demonstrations to answer (SFT).",
    "reward": "A reward model: it scores answers and does not write any.",
    "dpo": "A model that was aligned with preferences by DPO.",
    "ppo": "A model that was aligned by PPO against a reward.",
}
REFERENCE = "stage:"


def model_cards(facts: Facts) -> Iterator[tuple[str, str]]:
    """(stage, card) of every stage that left a model."""
    for stage in facts.stages:
        if stage.kind in ABOUT and stage.lineage and stage.folder.model.is_dir():
            yield stage.name, model_card(stage, facts)


def model_card(stage: StageFacts, facts: Facts) -> str:
    """The card of one stage's model, ancestors and evaluation included: Markdown with YAML front matter."""
    chain = _chain(stage, facts)
    rows, shares = list(_rows(stage, facts)), share_metrics(facts)
    environment = Environment(
        loader=PackageLoader("align.report"), undefined=StrictUndefined, trim_blocks=True, autoescape=False
    )
    packages = (stage.lineage or {}).get("packages", {})
    text = environment.get_template("card.md.jinja").render(
        card_data=_card_data(stage, chain, rows).to_yaml().strip(),
        title=stage.folder.name,
        about=ABOUT[stage.kind],
        chain=[_told(one) for one in chain],
        data=[_escaped(row) for one in chain for row in _data(one)],
        results=[_escaped(_result(row, shares)) for row in rows],
        measured=_measured(facts),
        limits=list(_limits(chain, rows)),
        packages=", ".join(f"{name} {version}" for name, version in packages.items()),
    )
    return str(text)


def _chain(stage: StageFacts, facts: Facts) -> list[StageFacts]:
    """The stage and all that it was built on, the first ancestor first."""
    known = {one.folder.name: one for one in facts.stages}
    wanted, waiting = {stage.folder.name}, [stage]
    while waiting:
        for name in waiting.pop().parents.values():
            if name in known and name not in wanted:
                wanted.add(name)
                waiting.append(known[name])
    return [one for one in facts.stages if one.folder.name in wanted]


def _rows(stage: StageFacts, facts: Facts) -> Iterator[Mapping[str, Any]]:
    """What evaluations measured of this stage's model, under whatever name they know it by."""
    for evaluation in facts.evaluations:
        asked = {**evaluation.spec.get("checkpoints", {}), **evaluation.spec.get("reward_models", {})}
        names = {
            name
            for name, spec in asked.items()
            if evaluation.parents.get(str(spec["path"]).removeprefix(REFERENCE)) == stage.folder.name
        }
        for row in (evaluation.evaluation or {}).get("rows", ()):
            if row["checkpoint"] in names and "/" not in row["suite"]:
                yield row


def _card_data(stage: StageFacts, chain: list[StageFacts], rows: list[Mapping[str, Any]]) -> ModelCardData:
    cards = [card for one in chain for _, _, source in sources(one) if (card := card_of(source))]
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=row["suite"],
            dataset_name=row["suite"],
            metric_type=row["metric"],
            metric_value=row["value"],
            metric_args={"low": row["low"], "high": row["high"], "n": row["n"]},
        )
        for row in rows
    ]
    return ModelCardData(
        language=sorted({language for card in cards for language in card.language}) or None,
        library_name="transformers",
        pipeline_tag="text-classification" if stage.kind == "reward" else "text-generation",
        tags=["align", stage.kind],
        base_model=_base_model(chain),
        model_name=stage.folder.name,
        eval_results=results or None,
    )


def _base_model(chain: list[StageFacts]) -> str | None:
    """The model from elsewhere that the chain began with; None where it began from scratch."""
    for stage in chain:
        for field in ("model", "policy"):
            path = str((stage.spec.get(field) or {}).get("path", REFERENCE))
            if not path.startswith((REFERENCE, "/", ".", "~")):
                return path
    return None


def _told(stage: StageFacts) -> tuple[str, ...]:
    known = stage.lineage or {}
    code = known.get("code") or {}
    commit = str(code.get("commit") or "unknown")[:12] + (" with changes" if code.get("dirty") else "")
    digest, seed = str(known.get("spec_digest", ""))[:12], str(stage.spec.get("seed", "–"))
    return stage.name, f"`{stage.folder.name}`", f"`{digest}`", seed, commit, duration(stage.built_in)


def _data(stage: StageFacts) -> Iterator[tuple[str, ...]]:
    for _, name, source in sources(stage):
        card = card_of(source)
        digest = str(source.get("sha256") or source.get("revision") or "–")[:12]
        words = (card.spdx, ", ".join(card.language)) if card else ("no card", "–")
        yield stage.name, name, number(source.get("train")), *words, digest


def _result(row: Mapping[str, Any], shares: set[str]) -> tuple[str, ...]:
    parts = win_rate_parts(row["metric"])
    metric = f"{parts[0]}: win rate over {parts[1]}" if parts else row["metric"]
    return row["suite"], metric, interval(row, is_share=row["metric"] in shares), number(row["n"])


def _measured(facts: Facts) -> str:
    for stage in facts.evaluations:
        if settings := decoding_of(stage):
            return f"In the run `{facts.title}`, decoding: {settings}."
    return f"In the run `{facts.title}`."


def _limits(chain: list[StageFacts], rows: list[Mapping[str, Any]]) -> Iterator[str]:
    """What is known to be wrong or missing."""
    for stage in chain:
        yield from (f"{stage.name} warned {alarm.when}: {alarm.text}." for alarm in stage.alarms)
    told = set()
    for stage in chain:
        for _, name, source in sources(stage):
            card = card_of(source)
            if card and card.align.known_biases not in told:
                told.add(card.align.known_biases)
                facts = card.align
                yield f"{name} ({stage.name}): {facts.known_biases} Allowed uses: {facts.allowed_uses}"
    if not rows:
        yield "Nothing has been measured."
    yield "Scores are those of the suites above; nothing is known of other uses, languages or of harm."
    yield "No licence is granted here: that of the base model and those of the data hold."


def _escaped(cells: tuple[str, ...]) -> list[str]:
    """Names come from data and may hold what Markdown takes for a column."""
    return [cell.replace("|", "\\|").replace("\n", " ") for cell in cells]
