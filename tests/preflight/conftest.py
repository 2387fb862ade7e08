"""Scripts as real processes over files and model folders that something is wrong with."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """What a script said of the files below `data`."""

    code: int
    stdout: str
    stderr: str
    data: Path
    outputs: Path

    @property
    def problems(self) -> list[str]:
        return self.stderr.splitlines()


Launch = Callable[..., Done]


@pytest.fixture(scope="session")
def speakers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models: `sound` as training leaves it, `bare` without a record, `lower` that is blind to case."""
    import torch
    from tokenizers import normalizers

    from align.data.contract import FILE, contract_of
    from align.models.causal import build_policy
    from align.models.spec import ArchitectureSpec, TokenizerSpec
    from align.models.tokenizer import build_tokenizer

    folder = tmp_path_factory.mktemp("speakers")
    torch.manual_seed(0)
    tokenizer = build_tokenizer(TokenizerSpec(vocab_size=384, chat_template="chatml"), ["the fox"] * 4)
    sizes = ArchitectureSpec(hidden_size=16, layers=1, heads=2, intermediate_size=32, max_positions=256)
    build_policy(sizes, tokenizer).save_pretrained(folder / "sound")
    tokenizer.save_pretrained(folder / "sound")
    contract_of(tokenizer).save(folder / "sound")
    shutil.copytree(folder / "sound", folder / "bare", ignore=shutil.ignore_patterns(FILE))
    shutil.copytree(folder / "bare", folder / "lower")
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save_pretrained(folder / "lower")
    return folder


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory, speakers: Path) -> Launch:
    """A function that runs `scripts/<stage>.py` on datasets and a model of one's own."""

    def run(
        stage: str,
        sources: Mapping[str, Mapping[str, Any]],
        *words: str,
        model: str = "sound",
        settings: Mapping[str, Any] | None = None,
        **corpus: Any,
    ) -> Done:
        folder = tmp_path_factory.mktemp(stage)
        entry = {"sft": "sft", "reward": "pairs", "dpo": "pairs", "ppo": "prompts", "pretrain": "text"}
        datasets = {entry[stage]: {"sources": sources, **corpus}} if sources else {}
        groups = {
            "model": ("_global_", {"model": {"path": str(speakers / model)}}),
            "corpus": ("corpus", datasets),
            "pipeline": (
                "stages",
                {
                    "defaults": [{f"/stage@{stage}": stage}, "_self_"],
                    stage: {"precision": "fp32", **(settings or {})},
                },
            ),
        }
        for group, (package, content) in groups.items():
            (folder / "conf" / group).mkdir(parents=True)
            text = f"# @package {package}\n{json.dumps(content, ensure_ascii=False)}\n"
            (folder / "conf" / group / "bad.yaml").write_text(text, encoding="utf-8")
        chosen = [f"{group}=bad" for group in groups]
        script, outputs = str(ROOT / "scripts" / f"{stage}.py"), folder / "outputs"
        done = subprocess.run(
            [
                *(sys.executable, script, "--config-dir", str(folder / "conf"), *chosen),
                *(f"paths.outputs={outputs}", "limits.steps=1", *words),
            ],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=ROOT,
        )
        return Done(done.returncode, done.stdout, done.stderr, folder, outputs)

    return run
