"""A configuration folder of a user's own: corpus and model so small that a whole chain takes seconds."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MODEL = """
# @package _global_
defaults:
  - /stage@stages.pretrain: pretrain
model: {path: "stage:pretrain"}
stages:
  pretrain:
    tokenizer: {vocab_size: 384}
    architecture: {hidden_size: 48, layers: 2, heads: 2, intermediate_size: 96, max_positions: 256}
    block_length: 64
    batch_size: 8
    precision: fp32
"""
CORPUS = """
text: {sources: {toy: {path: "${paths.data}/text.jsonl", format: text}}}
sft: {sources: {toy: {path: "${paths.data}/conversations.jsonl", format: messages}}}
pairs: {sources: {toy: {path: "${paths.data}/pairs.jsonl", format: pairs}}}
prompts: {sources: {toy: {path: "${paths.data}/prompts.jsonl", format: prompts}}}
"""
PIPELINE = """
# @package stages
defaults:
  - /stage@sft: sft
  - /stage@dpo: dpo
sft: {batch_size: 8, precision: fp32}
dpo: {batch_size: 8, precision: fp32}
"""
CHAIN = """
# @package stages
defaults:
  - toy
  - /stage@reward: reward
  - /stage@ppo: ppo
reward: {batch_size: 8, precision: fp32}
ppo:
  batch_size: 16
  precision: fp32
  decoding: {max_new_tokens: 96}
  policy_optimizer: {learning_rate: 1e-3}
"""


def write_toy_data(folder: Path) -> None:
    """Sixty-four questions with answers, as text, as conversations and as pairs."""
    rows: dict[str, list[dict[str, object]]] = {"text": [], "conversations": [], "pairs": [], "prompts": []}
    for number in range(64):
        question = f"What colour is thing number {number}?"
        answer = f"Thing number {number} is {['red', 'blue', 'green'][number % 3]}."
        asked = {"role": "user", "content": question}
        rows["text"].append({"text": f"User: {question} Assistant: {answer} "})
        rows["conversations"].append({"messages": [asked, {"role": "assistant", "content": answer}]})
        rows["prompts"].append({"prompt": question})
        rows["pairs"].append({"prompt": question, "chosen": answer, "rejected": "Go away."})
    for name, lines in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@dataclass(frozen=True)
class Toy:
    """The user's folder: `conf` for --config-dir, `data` with the files it names."""

    conf: Path
    data: Path

    def command(self, outputs: Path, *words: str, script: str = "pipeline") -> list[str]:
        """A script's command line: every stage takes four steps."""
        usual = {name: "toy" for name in ("model", "corpus", "pipeline")}
        usual |= {"limits.steps": "4", "logging.every_steps": "1"}
        usual |= {"paths.data": str(self.data), "paths.outputs": str(outputs)}
        options = [word for word in words if word.startswith("-")]
        given = [word for word in words if word not in options]
        named = {word.partition("=")[0] for word in given}
        said = [*(f"{key}={value}" for key, value in usual.items() if key not in named), *given]
        return [
            *(sys.executable, str(ROOT / "scripts" / f"{script}.py"), "--config-dir", str(self.conf)),
            *options,
            *said,
        ]

    def run(self, outputs: Path, *words: str, script: str = "pipeline") -> subprocess.CompletedProcess[str]:
        """Run a script to its end."""
        command = self.command(outputs, *words, script=script)
        return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)

    def start(self, outputs: Path, *words: str, script: str = "pipeline") -> "subprocess.Popen[str]":
        """Start a script and return while it runs."""
        pipe = subprocess.PIPE
        command = self.command(outputs, *words, script=script)
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """The toy configuration and its data."""
    folder = tmp_path_factory.mktemp("toy")
    for group, text in (("model", MODEL), ("corpus", CORPUS), ("pipeline", PIPELINE)):
        (folder / "conf" / group).mkdir(parents=True)
        (folder / "conf" / group / "toy.yaml").write_text(text.lstrip())
    (folder / "conf" / "pipeline" / "chain.yaml").write_text(CHAIN.lstrip())
    (folder / "data").mkdir()
    write_toy_data(folder / "data")
    return Toy(folder / "conf", folder / "data")


@pytest.fixture(scope="session")
def finished(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An outputs folder with the whole toy chain built; only to be read."""
    outputs = tmp_path_factory.mktemp("finished")
    done = toy.run(outputs, "run.name=chain")
    assert done.returncode == 0, done.stderr
    return outputs


@pytest.fixture
def outputs(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished outputs, to change."""
    return Path(shutil.copytree(finished, tmp_path / "outputs", symlinks=True))
