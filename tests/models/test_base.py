"""An adapter knows the weights it was trained over."""

import json
import shutil
from pathlib import Path

from align.models.base import FILE, base_problems, fingerprint_of, record_base


def test_an_adapter_is_refused_over_other_weights_with_both_values(tiny_model: Path, tmp_path: Path) -> None:
    adapter, base = tmp_path / "adapter", tmp_path / "base"
    adapter.mkdir()
    shutil.copytree(tiny_model, base)
    record_base(adapter, str(tiny_model))
    assert base_problems(adapter, str(tiny_model)) == base_problems(adapter, str(base)) == []
    with (base / "model.safetensors").open("r+b") as stream:
        stream.seek(-4, 2)
        stream.write(b"\x00\x00\x00\x3f")
    (told,) = base_problems(adapter, str(base))
    recorded = json.loads((adapter / FILE).read_text())
    assert recorded == {"base": str(tiny_model), "fingerprint": fingerprint_of(str(tiny_model))}
    assert f"{tiny_model} with the weights {recorded['fingerprint']}" in told
    assert f"{base} has {fingerprint_of(str(base))}" in told != recorded["fingerprint"]


def test_of_the_hub_the_name_is_the_fingerprint_and_without_a_record_nothing_is_refused(
    tmp_path: Path,
) -> None:
    record_base(tmp_path, "org/model")
    assert base_problems(tmp_path, "org/model") == []
    assert (
        "trained over org/model with the weights org/model, and org/other has"
        in base_problems(tmp_path, "org/other")[0]
    )
    (tmp_path / FILE).unlink()
    assert base_problems(tmp_path, "org/other") == []
