"""A real server: `transformers serve` on the CPU with a tiny model, asked as any other endpoint."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from align.data.records import Message, Prompt
from align.judges.endpoint import Endpoint
from align.judges.kept import Kept
from align.judges.source import Comparison

PATIENCE = 180  # seconds; the server imports torch and transformers first


@pytest.fixture(scope="module")
def served(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a server; it takes any model by its folder."""
    pytest.importorskip("fastapi", reason="needs transformers[serving]")
    folder = tmp_path_factory.mktemp("serve")
    (folder / "hub").mkdir()  # without a cache folder the server fails
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        Path(sys.executable).parent / "transformers",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environment = {**os.environ, "HF_HUB_CACHE": str(folder / "hub"), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*map(str, command), "--device", "cpu"], stdout=log, stderr=log, env=environment, cwd=folder
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        else:
            pytest.fail((folder / "log").read_text()[-2000:])
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(20)


def test_a_served_model_judges_and_what_it_babbles_wins_nothing(
    served: str, tiny_model: Path, tmp_path: Path
):
    judge = Endpoint(base_url=served, model=str(tiny_model), max_tokens=8, parallel=1, retries=1)
    assert judge.problems() == []
    pairs = [Comparison(Prompt((Message("user", "What of it?"),)), f"it is {n}", "go away") for n in range(2)]
    found = Kept(judge, judge.identity, tmp_path).compare(pairs)
    assert {(verdict.value, verdict.missing) for verdict in found} == {(None, "unparsed")}
    assert len(next((tmp_path / "verdicts").iterdir()).read_text().splitlines()) == 1 + len(pairs)

    absent = Endpoint(base_url=served, model=str(tmp_path / "absent"), retries=0)
    (problem,) = absent.problems()
    assert "about the model" in problem and str(tmp_path / "absent") in problem
