"""Resources: the split of a global batch, and the precision a machine is good for."""

from pathlib import Path

import pytest

from align.config.resources import BatchSplit, resolve_precision, split


@pytest.mark.parametrize(
    "batch, devices, micro", [(64, 4, 4), (64, 1, "auto"), (64, 8, 2), (8, 2, 100), (6, 2, 3)]
)
def test_a_split_loses_no_row(batch: int, devices: int, micro: int | str) -> None:
    found = split(batch, devices, micro)  # type: ignore[arg-type]
    assert found.micro_batch * found.accumulation * found.devices == batch
    assert found.devices == devices


@pytest.mark.parametrize(
    "share, row_tokens, expected",
    [(64, None, 64), (32, 128, 32), (16, 512, 8), (12, 1024, 4), (10, 1000, 2), (7, 1000, 1), (8, 10_000, 1)],
)
def test_auto_holds_so_many_tokens_and_divides_the_share(
    share: int, row_tokens: int | None, expected: int
) -> None:
    assert split(2 * share, 2, "auto", row_tokens) == BatchSplit(expected, share // expected, 2)


@pytest.mark.parametrize("batch, devices, micro", [(10, 4, 1), (2, 4, 1), (64, 4, 3)])
def test_a_split_with_a_remainder_is_refused(batch: int, devices: int, micro: int) -> None:
    with pytest.raises(ValueError, match="does not divide"):
        split(batch, devices, micro)


@pytest.mark.parametrize(
    "precision, accelerator, flags, expected",
    [
        ("auto", "cpu", "fpu avx512_bf16 sse", "bf16"),
        ("auto", "cpu", "fpu amx_bf16", "bf16"),
        ("auto", "cpu", "fpu avx512f", "fp32"),
        ("auto", "cpu", None, "fp32"),
        ("auto", "cuda", "fpu", "bf16"),
        ("fp32", "cuda", "fpu avx512_bf16", "fp32"),
    ],
)
def test_auto_precision_asks_the_processor(
    tmp_path: Path, precision: str, accelerator: str, flags: str | None, expected: str
) -> None:
    description = tmp_path / "cpuinfo"
    if flags is not None:
        description.write_text(f"processor: 0\nflags\t\t: {flags}\n")
    assert resolve_precision(precision, accelerator, description) == expected
