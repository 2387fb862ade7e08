"""What a run names is fetched once, from a Hub that a local server stands in for, and then found offline."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef" * 2 + "01234567"
WORDS = (
    "model.path=me/model", f"model.revision={COMMIT}", "pipeline=sft_dpo", "~stages.pretrain", "run.only=dpo",
    "corpus.pairs.sources.toy.path=null",
    f"+corpus.pairs.sources.toy.hub={{id: me/rows, revision: {COMMIT}}}",
    "stages.sft.precision=fp32", "stages.dpo.precision=fp32",
)  # fmt: skip


class Hub(BaseHTTPRequestHandler):
    """Just enough of the Hub: repositories are folders, each at one commit."""

    def __init__(self, place: "Place", *given: Any) -> None:
        self.place = place
        super().__init__(*given)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.place.asked.append(f"{self.command} {self.path}")
        if found := re.fullmatch(r"/api/(models|datasets)/(.+?)/(tree|revision)/(\w+)(/.*)?", path):
            repo, what, commit = found[2], found[3], found[4]
            if not (self.place.root / repo).is_dir() or commit not in (COMMIT, "main"):
                self.answer(404, b'{"error": "not found"}', {"X-Error-Code": "RepoNotFound"})
            elif what == "tree":
                self.answer(200, json.dumps(self.tree(repo)).encode())
            else:
                siblings = [{"rfilename": entry["path"]} for entry in self.tree(repo)]
                info = {"id": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
                self.answer(200, json.dumps(info).encode())
        elif found := re.fullmatch(r"/(?:datasets/)?(.+?)/resolve/(\w+)/(.+)", path):
            file = self.place.root / found[1] / found[3]
            if not file.is_file():
                self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
                return
            content = file.read_bytes()
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{sha(content)}"', "Accept-Ranges": "bytes"}
            self.answer(200, content, headers)
        else:
            self.answer(404, b"{}")

    def tree(self, repo: str) -> list[dict[str, object]]:
        folder = self.place.root / repo
        files = [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
        return [{"type": "file", "path": name, "size": len(body), "oid": sha(body)} for name, body in files]

    def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


def sha(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


class Place:
    """A server of Hub, and where one user fetches from it."""

    def __init__(self, toy, folder: Path, model: Path) -> None:
        self.toy, self.folder, self.root = toy, folder, folder / "hub"
        shutil.copytree(model, self.root / "me" / "model")
        (self.root / "me" / "model" / "pytorch_model.bin").write_bytes(b"the same weights once more")
        (self.root / "me" / "rows").mkdir()
        rows = [{"prompt": f"What is {n}?", "chosen": "a number", "rejected": "no"} for n in range(8)]
        (self.root / "me" / "rows" / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        self.asked: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, self))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def run(self, script: str, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """A script with a cache of its own, online unless told otherwise."""
        self.asked.clear()
        ours = {
            "HF_ENDPOINT": f"http://127.0.0.1:{self.server.server_address[1]}",
            "HF_HOME": str(self.folder / "home"),
            "HF_HUB_OFFLINE": "0",
        }
        command = self.toy.command(self.folder / "outputs", *WORDS, *words, script=script)
        environment = {**os.environ, **ours, **environment}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, cwd=ROOT)


@pytest.fixture(scope="module")
def hub(toy, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Place]:
    place = Place(toy, tmp_path_factory.mktemp("hub"), tiny_model)
    yield place
    place.server.shutdown()


def lines(text: str) -> list[list[str]]:
    """State and name of what was reported, sizes left out."""
    return [[words[0], words[3]] for line in text.splitlines() if (words := line.split())[2:3] == ["MB"]]


def test_what_is_named_is_fetched_once_and_then_found_offline(hub: Place) -> None:
    data = str(hub.toy.data / "conversations.jsonl")
    rows = f"hf://me/rows@{COMMIT[:12]}"
    for state, offline in (("fetched", "0"), ("there", "0"), ("there", "1")):
        done = hub.run("fetch", HF_HUB_OFFLINE=offline)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("all 3 are there\n")
        model = [state, f"me/model@{COMMIT[:12]}"]
        assert sorted(lines(done.stdout)) == sorted([["there", data], model, [state, rows]])
        fetched = {
            word.rpartition("/")[2] for word in hub.asked if word.startswith("GET") and "resolve" in word
        }
        assert ("model.safetensors" in fetched) == ("train.jsonl" in fetched) == (state == "fetched")
        assert "pytorch_model.bin" not in fetched
        assert offline == "0" or not hub.asked
    checked = hub.run("pipeline", "run.check=true", HF_HUB_OFFLINE="1")
    assert checked.returncode == 0, checked.stderr
    other = ("corpus.pairs.sources.toy.hub.revision=" + "f" * 40,)
    for script in ("fetch", "pipeline"):  # `datasets` itself would take the commit that it has
        done = hub.run(script, "run.check=true", *other, HF_HUB_OFFLINE="1")
        assert done.returncode == {"fetch": 1, "pipeline": 2}[script], done.stdout
        assert "hf://me/rows@ffffffffffff [train]" in done.stderr


def test_what_cannot_be_had_is_named_and_the_rest_is_fetched(hub: Place, tmp_path: Path) -> None:
    words = ("model.path=me/nothing", "corpus.sft.sources.toy.path=/no/such/file.jsonl")
    done = hub.run("fetch", *words, HF_HOME=str(tmp_path))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "stages.sft.model.path: me/nothing@0123456789ab cannot be fetched: " in done.stderr
    assert "stages.sft.data.sources.toy.path: /no/such/file.jsonl does not exist" in done.stderr
    assert done.stderr.endswith("2 of 3 could not be had\n")
    assert lines(done.stdout) == [["fetched", f"hf://me/rows@{COMMIT[:12]}"]]


def test_offline_nothing_is_fetched(hub: Place, tmp_path: Path) -> None:
    done = hub.run("fetch", HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert done.returncode == 1 and not hub.asked
    assert "is not in the cache, and HF_HUB_OFFLINE keeps it from being fetched; unset it here" in done.stderr
    assert hub.run("fetch", "stages.dpo.nonsense=1").returncode == 2
