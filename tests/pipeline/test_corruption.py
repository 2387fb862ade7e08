"""Whatever happens to a file of a finished chain is found, and named."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from align.artifacts.store import ArtifactDir, ArtifactError, check_contents
from align.artifacts.verification import Finding, main, verify
from tests.harm import flip, truncate
from tests.pipeline.conftest import ROOT
from tests.pipeline.test_resume import long_sft

Harm = Callable[[Path], None]


def problems(found: list[Finding]) -> dict[str, tuple[str, ...]]:
    return {finding.name: finding.problems for finding in found if finding.state == "damaged"}


def test_a_finished_chain_is_sound(finished: Path) -> None:
    found = verify(finished)
    assert {finding.state for finding in found} == {"sound"}
    assert [finding.name.split("-")[0] for finding in found] == ["runs/chain", "dpo", "pretrain", "sft"]
    assert [finding.name for finding in verify(finished, ["chain"])] == [finding.name for finding in found]
    (sft,) = (path.name for path in (finished / "artifacts").glob("sft-*"))
    assert [finding.name.split("-")[0] for finding in verify(finished, [sft])] == ["sft", "pretrain"]


@pytest.mark.parametrize("harm", [flip, truncate, Path.unlink])
def test_harm_to_any_file_that_another_stage_reads_is_named_and_refused(outputs: Path, harm: Harm) -> None:
    (sft,) = (outputs / "artifacts").glob("sft-*")
    left_out = {"status.json"}
    files = [path for path in sft.rglob("*") if path.is_file() and path.relative_to(sft).parts[0] != "log"]
    files = [path for path in files if path.name not in left_out and not path.name.startswith(".")]
    assert {"model.safetensors", "tokenizer.json", "lineage.json", "metrics.jsonl"} <= {p.name for p in files}
    for path in files:
        before = path.read_bytes()
        harm(path)
        name = path.relative_to(sft).as_posix()
        if name == "lineage.json" and harm is Path.unlink:  # as one that was never committed
            assert [f.state for f in verify(outputs, [sft.name])] == ["unfinished"]
        else:
            assert name in problems(verify(outputs, [sft.name]))[sft.name][0]
            with pytest.raises(ArtifactError, match=f"{sft.name}.*{name}"):
                check_contents(ArtifactDir(sft))
        path.write_bytes(before)
    assert problems(verify(outputs)) == {}


def test_what_was_added_renamed_or_cut_loose_is_found(outputs: Path, capsys: pytest.CaptureFixture) -> None:
    (sft,) = (outputs / "artifacts").glob("sft-*")
    (dpo,) = (outputs / "artifacts").glob("dpo-*")
    (sft / "model" / "pytorch_model.bin").write_bytes(b"a pickle")
    assert problems(verify(outputs))[sft.name] == ("model/pytorch_model.bin was added",)
    (sft / "model" / "pytorch_model.bin").unlink()

    dpo.rename(dpo.with_name("dpo-0123456789ab"))
    found = problems(verify(outputs))
    assert found["dpo-0123456789ab"] == (f"it was built as {dpo.name}",)
    assert found[dpo.name] == ("it is gone, and others were built on it",)
    dpo.with_name("dpo-0123456789ab").rename(dpo)

    run = outputs / "runs" / "chain"
    (run / "dpo").unlink()
    assert "the link points to nothing" in problems(verify(outputs))["runs/chain"][0]
    (run / "run.json").write_text("{")
    assert main(["--outputs", str(outputs)]) == 1
    assert "damaged     runs/chain  run.json cannot be read\n" in capsys.readouterr().out


def test_wrong_names_are_exit_code_two(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["chian", "--outputs", str(finished)]) == 2
    assert "no run or artifact chian" in capsys.readouterr().err
    assert main(["--outputs", str(tmp_path)]) == 2
    assert "--outputs" in capsys.readouterr().err


def test_an_unfinished_stage_is_judged_by_its_checkpoints(toy, outputs: Path) -> None:
    running, sft = long_sft(toy, outputs, "checkpoints.keep=50")
    running.kill()
    running.communicate()
    command = [sys.executable, "scripts/verify.py", sft.name, "--outputs", str(outputs)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"unfinished  {sft.name}\n"), done.stderr
    checkpoint = next(path.parent for path in sorted(sft.glob("checkpoints/*/manifest.json")))
    assert json.loads((checkpoint / "manifest.json").read_text())["artifact"] == sft.name
    flip(checkpoint / "optimizer.pt")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert f"damaged     {sft.name}  {checkpoint.name}: optimizer.pt was changed" in done.stdout
