"""Fits the refusal classifier on completions that people labelled, and says how well it does on others.

Reads   xstest_v2_completions_<model>.csv (Röttger et al. 2024, arXiv:2308.01263, CC BY 4.0)
Writes  refusal.json: weights, attribution, agreement
"""

import argparse
import csv
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from align.artifacts.durable import write_json
from align.evaluation.metrics.refusal import PHRASES, WEIGHTS, features
from align.evaluation.statistics import Floats

MODELS = ("gpt4", "llama2orig", "mistralinstruct")
FOLDS = 5
INVERSE_REGULARISATION = 2.0  # chosen by hand among 0.3, 1 and 3 times as much
ATTRIBUTION = (
    "Fitted on the human-labelled completions of XSTest (Paul Röttger, Hannah Kirk, Bertie Vidgen, Giuseppe "
    "Attanasio, Federico Bianchi, Dirk Hovy: 'XSTest: A Test Suite for Identifying Exaggerated Safety "
    "Behaviours in Large Language Models', arXiv:2308.01263), https://github.com/paul-rottger/xstest, CC BY "
    "4.0, https://creativecommons.org/licenses/by/4.0/. Changed: only weights of phrase families are kept."
)


@dataclass(frozen=True)
class Labelled:
    """One model's completions: features (N, F), whether people saw a refusal, the prompts' folds."""

    inputs: Floats
    refused: Any
    folds: Any


def read_labelled(folder: Path) -> dict[str, Labelled]:
    """Model name -> its completions; partial refusals are refusals.

    Raises:
        OSError: a file is missing.
    """
    found = {}
    for model in MODELS:
        with (folder / f"xstest_v2_completions_{model}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        found[model] = Labelled(
            np.asarray([features(row["completion"]) for row in rows]),
            np.asarray([row["final_label"] != "1_full_compliance" for row in rows]),
            np.asarray([_fold(row["prompt"]) for row in rows]),
        )
    return found


def fit(inputs: Floats, refused: Any) -> Any:
    """A logistic regression; scikit-learn's."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    return LogisticRegression(C=INVERSE_REGULARISATION, max_iter=5000).fit(inputs, refused)


def predicted(labelled: dict[str, Labelled], model: str) -> Any:
    """Verdicts on one model's completions, fitted on the other models' and on other prompts. (N,)"""
    own, others = labelled[model], [item for name, item in labelled.items() if name != model]
    verdicts = np.zeros(len(own.refused), dtype=bool)
    for fold in range(FOLDS):
        inputs = np.concatenate([item.inputs[item.folds != fold] for item in others])
        refused = np.concatenate([item.refused[item.folds != fold] for item in others])
        verdicts[own.folds == fold] = fit(inputs, refused).predict(own.inputs[own.folds == fold])
    return verdicts


def kappa(verdicts: Any, labels: Any) -> float:
    """Cohen's kappa of two raters' yes and no."""
    agreement = float(np.mean(verdicts == labels))
    yes, no = (float(np.mean(verdicts == side) * np.mean(labels == side)) for side in (True, False))
    return (agreement - yes - no) / (1 - yes - no)


def kappa_interval(verdicts: Any, labels: Any, resamples: int = 2000) -> list[float]:
    """The 95 % percentile interval of kappa, over completions drawn with replacement."""
    rows = np.random.default_rng(0).integers(0, len(labels), (resamples, len(labels)))
    found = [kappa(verdicts[draw], labels[draw]) for draw in rows]
    return [float(value) for value in np.quantile(found, [0.025, 0.975])]


def agreement(labelled: dict[str, Labelled]) -> dict[str, dict[str, Any]]:
    """Model name, and `pooled` -> kappa with its interval on completions that nothing was fitted on."""
    verdicts = {model: predicted(labelled, model) for model in labelled}
    labels = {model: item.refused for model, item in labelled.items()}
    verdicts["pooled"] = np.concatenate(list(verdicts.values()))
    labels["pooled"] = np.concatenate(list(labels.values()))
    return {
        name: {
            "kappa": round(kappa(verdicts[name], labels[name]), 4),
            "interval": [round(value, 4) for value in kappa_interval(verdicts[name], labels[name])],
            "n": len(labels[name]),
        }
        for name in verdicts
    }


def fitted(labelled: dict[str, Labelled]) -> dict[str, Any]:
    """What is shipped: a fit on every completion."""
    model = fit(
        np.concatenate([item.inputs for item in labelled.values()]),
        np.concatenate([item.refused for item in labelled.values()]),
    )
    weights = dict(zip(PHRASES, (round(float(value), 4) for value in model.coef_[0]), strict=True))
    return {"intercept": round(float(model.intercept_[0]), 4), "weights": weights}


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, and write the weights with what they are worth."""
    parser = argparse.ArgumentParser(
        prog="python scripts/fit_refusal.py", description="Fit the refusal classifier."
    )
    parser.add_argument("folder", type=Path, help="holds xstest_v2_completions_<model>.csv")
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    given = parser.parse_args(arguments)
    try:
        labelled = read_labelled(given.folder)
    except OSError as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    found = agreement(labelled)
    write_json(given.output, {"attribution": ATTRIBUTION, "agreement": found, **fitted(labelled)})
    for name, row in found.items():
        low, high = row["interval"]
        sys.stdout.write(f"{name:16} kappa {row['kappa']:.3f} [{low:.3f}, {high:.3f}], n = {row['n']}\n")
    return 0


def _fold(prompt: str) -> int:
    """Which part of the prompts this one belongs to, the same for every model."""
    return int(hashlib.sha256(prompt.encode()).hexdigest(), 16) % FOLDS
