"""A run folder of the quickstart's own stages, with made-up numbers, written by the writers of real runs."""

import json
import math
from collections.abc import Iterator, Mapping
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
    )


def _evaluate(artifact: ArtifactDir) -> None:
    from align.evaluation.judging import Judgement, write_leaderboards
    from align.evaluation.measure import Answers, measure
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
    write_evaluation(artifact, [suite], rows, {"decoding": {"temperature": 1.0}})


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
