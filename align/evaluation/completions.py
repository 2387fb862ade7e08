"""Completions of a checkpoint on suites, generated once and kept.

Reads   weights (a folder or Hub id), outputs/completions
Writes  outputs/completions/<checkpoint>-<digest>.jsonl: what they are completions of, then one line per
prompt
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from align.artifacts.durable import write_text
from align.artifacts.manifest import json_digest
from align.artifacts.store import ArtifactDir, Store, read_lineage
from align.config.resources import Precision
from align.data.errors import DataError
from align.evaluation.check import control_token_problems
from align.evaluation.suite import Suite
from align.generation.decoding import DecodingSpec
from align.generation.sampler import Completion, TransformersSampler
from align.models.causal import load_reference
from align.models.spec import ModelSpec
from align.models.tokenizer import load_model_tokenizer
from align.runtime.speaker import missing_template

FOLDER = "completions"
VERSION = 2  # raise when the same checkpoint, suite and decoding would now give other completions
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Checkpoint:
    """Weights under evaluation. `identity` names them for good: completions are kept under it."""

    name: str
    spec: ModelSpec
    path: str
    identity: str


@dataclass(frozen=True, kw_only=True)
class Engine:
    """How completions are computed. Only `decoding` and `precision` decide which; the rest is speed.

    A suite's own decoding goes before `decoding`, but for the seed.
    """

    decoding: DecodingSpec
    precision: Precision
    device: str = "cpu"
    attention: str = "sdpa"
    batch_rows: int | None = None

    def decoding_of(self, suite: Suite) -> DecodingSpec:
        """How a suite is answered."""
        return replace(suite.decoding or self.decoding, seed=self.decoding.seed)

    def load(self, checkpoint: Checkpoint, suites: Sequence[Suite]) -> TransformersSampler:
        """Bring a checkpoint into memory, to speak.

        Raises:
            DataError: its tokenizer has no chat template, or takes text of a prompt for a control token.
        """
        model, tokenizer = self.open(checkpoint, suites)
        return TransformersSampler(model, tokenizer, self.decoding, batch_rows=self.batch_rows)

    def open(
        self, checkpoint: Checkpoint, suites: Sequence[Suite]
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """As `load`: the model, on its device, and its tokenizer."""
        tokenizer = load_model_tokenizer(checkpoint.path, checkpoint.spec)
        if tokenizer.chat_template is None:
            field = f"checkpoints.{checkpoint.name}.chat_template"
            raise DataError(f"{field}: {missing_template(checkpoint.path)}")
        field = f"checkpoints.{checkpoint.name}"
        if problems := control_token_problems(field, tokenizer, suites):
            raise DataError("\n".join(problems))
        model = load_reference(
            checkpoint.path,
            checkpoint.spec,
            tokenizer,
            attention=self.attention,
            dtype=DTYPES[self.precision],
        )
        torch.nn.Module.to(model, self.device)  # in place; transformers hides the signature of its own `to`
        return model, tokenizer


def completions_of(
    checkpoint: Checkpoint, suites: Sequence[Suite], engine: Engine, outputs: Path
) -> dict[str, list[Completion]]:
    """Suite name -> completions in the order of its prompts; weights are loaded only if some are missing."""
    paths = {suite.name: _path(checkpoint, suite, engine, outputs) for suite in suites}
    missing = [suite for suite in suites if not paths[suite.name].exists()]
    if missing:
        sampler = engine.load(checkpoint, missing)
        for suite in missing:
            speaker = sampler.with_decoding(engine.decoding_of(suite))
            completions = speaker.complete([prompt.messages for prompt in suite.prompts])
            _write(paths[suite.name], _key(checkpoint, suite, engine), completions)
    return {suite.name: _read(paths[suite.name]) for suite in suites}


def identity_of(spec: ModelSpec, artifact: ArtifactDir | None, outputs: Path) -> str:
    """A name for a model's weights that no other weights get: `<where from>@<digest or revision>`."""
    if artifact is not None:
        manifest = read_lineage(artifact)["manifest"]
        weights = {
            name: entry for name, entry in manifest.items() if name.startswith(f"{artifact.model.name}/")
        }
        return f"{artifact.name}@{json_digest(weights)[:12]}"
    folder = Path(spec.path).expanduser()
    if folder.is_dir():
        return f"{folder.name}@{Store(outputs).digests.folder(folder)[:12]}"
    return f"{spec.path}@{spec.revision or 'main'}"


def _key(checkpoint: Checkpoint, suite: Suite, engine: Engine) -> dict[str, Any]:
    spec = engine.decoding_of(suite)
    decoding = asdict(spec)
    if not spec.temperature:  # greedy: nothing else decides which token is chosen
        decoding = {"temperature": 0, "max_new_tokens": spec.max_new_tokens}
    return {
        "checkpoint": checkpoint.identity,
        "chat_template": checkpoint.spec.chat_template,
        "prompts": suite.digest,
        "decoding": decoding,
        "precision": engine.precision,
        "version": VERSION,
    }


def _path(checkpoint: Checkpoint, suite: Suite, engine: Engine, outputs: Path) -> Path:
    key = json.dumps(_key(checkpoint, suite, engine), sort_keys=True)
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", checkpoint.identity)[:60]
    return outputs / FOLDER / f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.jsonl"


def _write(path: Path, key: Mapping[str, Any], completions: Sequence[Completion]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [key, *map(asdict, completions)]
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _read(path: Path) -> list[Completion]:
    _, *lines, _ = path.read_text(encoding="utf-8").split("\n")  # splitlines would cut at U+2028 too
    return [
        Completion(row["text"], tuple(row["tokens"]), row["ended"], tuple(row["logprobs"]))
        for row in map(json.loads, lines)
    ]
