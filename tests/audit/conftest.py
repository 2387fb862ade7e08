"""Preference pairs that are real, and pairs whose truth is known."""

import random
from pathlib import Path

import pytest

from align.audit.completions import Completions
from align.data.records import PreferencePair
from align.data.source import load_rows
from align.data.spec import DataSpec, ScreeningSpec, SourceSpec
from align.sandbox.write import write_sandbox


@pytest.fixture(scope="session")
def harmless(align_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Completions:
    """The pairs of HH-RLHF's harmlessness test split, as its configuration reads them."""
    path = align_data / "hh_rlhf_harmless" / "harmless-base-test.jsonl.gz"
    spec = DataSpec(sources={"hh": SourceSpec(path=str(path), format="hh", bad_rows="drop")})
    return Completions.of(load_rows(spec, PreferencePair, tmp_path_factory.mktemp("outputs")).train)


def turned(pairs: Completions, share: float, seed: int) -> tuple[Completions, list[bool]]:
    """The pairs with a share of the labels turned around, and which."""
    stream = random.Random(seed)
    flips = [stream.random() < share for _ in range(len(pairs))]
    both = [
        (rejected, chosen) if flip else (chosen, rejected)
        for chosen, rejected, flip in zip(pairs.chosen, pairs.rejected, flips, strict=True)
    ]
    return Completions([one for one, _ in both], [other for _, other in both], pairs.prompts), flips


def sandbox_pairs(seed: int, count: int, folder: Path) -> Completions:
    """Pairs as the sandbox's annotators label them, by the generator that its configuration names."""
    write_sandbox(folder, seed=seed, pairs=count, documents=1, demonstrations=1, prompts=10)
    spec = DataSpec(
        sources={"sandbox": SourceSpec(path=str(folder / "pairs.jsonl"), format="pairs")},
        screening=ScreeningSpec(duplicates="keep"),
    )
    return Completions.of(load_rows(spec, PreferencePair, folder).train)
