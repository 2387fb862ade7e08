"""A run folder of the quickstart's own stages, with made-up numbers, written by the writers of real runs."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from align.artifacts.durable import write_json
from align.artifacts.lineage import build_lineage
from align.artifacts.metrics import TOTAL_STEPS, MetricsLog
from align.artifacts.store import ArtifactDir, Store
from align.config.compose import bind
from align.data.records import Message, Prompt
from align.pipeline.record import RunRecord, config_text
from align.pipeline.run import Run
from align.report.collect import Facts, collect

CONF = str(Path(__file__).parents[2] / "conf")
CHECKPOINTS = ("base", "sft", "dpo", "ppo")
GOLD = {"base": -1.2, "sft": 0.4, "dpo": 1.3, "ppo": 1.5}
PROMPTS = 60
PLANTED = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
CURVE = {
    "kind": "risk_coverage", "suite": "truthfulness", "checkpoint": "sft", "answered": 40, "area": 0.125,
    "points": [[0.5, 0.0], [1.0, 0.25]],
}  # fmt: skip
REPORT = {
    "rows_in": 100, "kept": 97, "dropped": {"duplicate": 3},
    "sources": {
        "sandbox": {
            "origin": "sft.jsonl", "sha256": "ab" * 32, "revision": None, "card": "stanford_alpaca_5000",
            "rows_in": 100, "kept": 97, "dropped": {"duplicate": 3},
            "first_dropped": {"duplicate": "sft.jsonl:7"}, "train": 90, "held_out": 7,
        }
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: six stages, an alarm in PPO's log, an answer that would like to be a script."""
    outputs = tmp_path_factory.mktemp("outputs")
    with initialize_config_dir(CONF, version_base="1.3"):
        cfg = compose("align", overrides=["experiment=overoptimised", f"paths.outputs={outputs}"])
    run = bind(cfg, Run)
    record = RunRecord.start(outputs, "first", "x", config_text("seed: 0\n", ["experiment=overoptimised"]))
    artifacts: dict[str, ArtifactDir] = {}
    store = Store(outputs)
    for place, name in enumerate(run.order()):
        artifact = store.artifact(run.stages[name].kind, f"{place:012x}")
        lock = store.acquire(artifact)
        assert lock is not None
        _fill(name, artifact)
        parents = {parent: artifacts[parent] for parent in run.parents(name)}
        lineage = build_lineage(
            stage=name, spec=run.stages[name], fingerprint=f"{place:012x}", parents=parents, output=artifact,
            hardware=asdict(run.hardware), world_size=1, started=60.0 * place, ended=60.0 * place + 50,
        )  # fmt: skip
        store.commit(lock, lineage)
        artifacts[name] = artifact
        record.add(
            name, "cached" if name == "pretrain" else "ran", artifact, 0.0 if name == "pretrain" else 50.0
        )
    record.write()
    return record.folder


@pytest.fixture(scope="session")
def facts(run_folder: Path) -> Facts:
    return collect([run_folder])


def _fill(name: str, artifact: ArtifactDir) -> None:
    if name == "evaluate":
        _evaluate(artifact)
        return
    artifact.model.mkdir()
    (artifact.model / "config.json").write_text("{}")
    write_json(artifact.data, {"loaded": REPORT})
    log = MetricsLog(artifact.metrics)
    log.append(0, {TOTAL_STEPS: 60}, "schedule")
    artifact.log.mkdir()
    (artifact.log / "rank-0.txt").write_text("")
    if name == "ppo":
        _optimise(artifact, log)
        return
    family = "reward_model" if name == "reward" else "policy"
    for step in range(10, 610, 1):
        values = {f"{family}/loss": 1 / step, "trainer/grad_norm": 0.5, "trainer/num_tokens": 1000.0 * step}
        log.append(step, values)
    log.append(600, {f"{family}/loss": 0.2}, "held_out")


def _optimise(artifact: ArtifactDir, log: MetricsLog) -> None:
    """Sixty updates by the curve of Gao et al.: gold peaks at d = exp(1/0.5 - 1) = e."""
    for update in range(1, 61):
        d = 0.08 * (update - 1)
        gold = d * (1 - 0.5 * math.log(d)) if d else 0.0
        log.append(
            update,
            {
                "objective/score": 5 + 0.4 * d, "score/gold": 0.5 + gold, "objective/sqrt_kl": d,
                "objective/kl": d * d, "objective/kl_per_token": d * d / 20, "objective/entropy": 1 / update,
                "rollout/length": 20 + update, "rollout/tokens_per_second": 1500.0, "time/generate": 0.3,
                "time/learn": 1.1, "objective/kl_coefficient": 0.02, "policy/clip_fraction": 0.1,
            },
        )  # fmt: skip
    (artifact.log / "rank-0.txt").write_text(
        "loading\nalarm at update 12: the score rises while gold falls: over-optimisation; stop earlier\n"
        "alarm at update 20: 71% of the completions end: raise decoding.max_new_tokens\n"
        "alarm at update 31: the score rises while gold falls: over-optimisation; stop earlier\n"
        "alarm at update 44: 68% of the completions end: raise decoding.max_new_tokens\n"
        "alarm at update 57: the score rises while gold falls: over-optimisation; stop earlier\n"
    )


def _evaluate(artifact: ArtifactDir) -> None:
    from align.evaluation.judging import Judgement, write_leaderboards
    from align.evaluation.measure import Answers, measure, shares_in
    from align.evaluation.record import write_evaluation, write_samples
    from align.evaluation.suite import Suite
    from align.generation.sampler import Completion

    random = Random(0)
    prompts = [
        Prompt((Message("user", f"What of thing {n}?"),), {"answer": f"It is {n}."}) for n in range(PROMPTS)
    ]
    suite = Suite("held_out", prompts, {"": range(PROMPTS), "kind=few": range(12)}, REPORT)

    def answers(name: str) -> Answers:
        texts = [f"{name} says {n}. 한국어" for n in range(PROMPTS)]
        if name == "ppo":
            texts[3] = PLANTED
        completions = [Completion(text, tuple(range(len(text))), ended=True) for text in texts]
        scores = [GOLD[name] + random.gauss(0, 0.8) for _ in range(PROMPTS)]
        return Answers(completions, {"gold": scores, "reward_model": [2 * score for score in scores]})

    found = {name: answers(name) for name in CHECKPOINTS}
    compare = {"sft": ("base",), "dpo": ("sft",), "ppo": ("sft", "dpo")}
    rows = list(measure(suite, found, compare, resamples=100, seed=0))
    write_samples(artifact, [suite], {"held_out": found})
    judgement = Judgement([_judged(suite, found, *pair) for pair in combinations(CHECKPOINTS, 2)], {})
    write_leaderboards(artifact, [suite], {"held_out": found}, judgement, resamples=100, seed=0)
    rows += _taxed(found)
    settings = {
        "decoding": {"temperature": 1.0}, "shares": shares_in(rows, {}), "curves": [CURVE],
        "tax": {"base": "base", "max_perplexity_ratio": 1.5, "max_accuracy_loss": None},
    }  # fmt: skip
    write_evaluation(artifact, [suite], rows, settings)
    write_json(artifact.reward_models, {"reward_models": [{"model": "reward", "sets": _quality()}]})


def _taxed(names: Iterable[str]) -> list[Any]:
    """What alignment cost, by the function that real evaluations use."""
    from align.evaluation.metrics.metric import Column
    from align.evaluation.tax import tax_rows
    from align.evaluation.tax_spec import TaxSpec, TextRead

    read = {name: [TextRead(-10.0 - place - n % 3, 5) for n in range(40)] for place, name in enumerate(names)}
    right = {
        name: Column([float(n % (2 + place) == 0) for n in range(40)]) for place, name in enumerate(names)
    }
    return list(tax_rows(TaxSpec(), read, {"facts": right}, resamples=100, seed=0))


def _quality() -> dict[str, Any]:
    """What a reward model that likes long answers is worth on sixty pairs, as real evaluations measure it."""
    import numpy as np

    from align.data.records import PreferencePair
    from align.evaluation.reward_quality import reward_quality

    random = Random(1)
    pairs = [
        PreferencePair(
            (Message("user", f"What of {n}?"),),
            (Message("assistant", "x" * random.randint(1, 40)),),
            (Message("assistant", "y" * random.randint(1, 40)),),
        )
        for n in range(PROMPTS)
    ]
    chosen, rejected = (
        np.asarray([len(getattr(pair, side)[0].content) / 10 + random.gauss(0, 1) for pair in pairs])
        for side in ("chosen", "rejected")
    )
    sources = {"web": range(40), PLANTED: range(40, PROMPTS)}
    found = reward_quality(pairs, chosen, rejected, sources, resamples=100, seed=0)
    return {"held_out_pairs": found, "llmbar": found}


def _judged(suite: Any, found: Mapping[str, Any], baseline: str, name: str) -> Any:
    """By the gold score, where two are never alike."""
    from align.evaluation.judged import Judged

    own, other = (found[side].scores["gold"] for side in (name, baseline))
    values = [float(mine > theirs) for mine, theirs in zip(own, other, strict=True)]
    texts = ([completion.text for completion in found[side].completions] for side in (name, baseline))
    lengths = [(len(mine), len(theirs)) for mine, theirs in zip(*texts, strict=True)]
    prompts = [prompt.messages[0].content for prompt in suite.prompts]
    return Judged("gold", suite.name, name, baseline, prompts, values, {}, [None] * PROMPTS, lengths)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON-lines file."""
    return map(json.loads, path.read_text(encoding="utf-8").splitlines())
