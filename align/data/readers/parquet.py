"""Parquet files -> raw rows, a batch at a time."""

from collections.abc import Iterator
from pathlib import Path

from align.data.errors import located
from align.data.readers.json_rows import RawRow
from align.data.readers.lines import opened

ROWS_PER_BATCH = 1024


def parquet_rows(path: Path) -> Iterator[RawRow]:
    """Rows with their number from 1, which stands in for a line.

    Raises:
        DataError: the file cannot be read, or is not parquet.
    """
    # Not at import: pyarrow takes part of a second, and the parent process only needs to know the names.
    import pyarrow  # noqa: PLC0415
    import pyarrow.parquet  # noqa: PLC0415

    with opened(path) as stream:
        try:
            table = pyarrow.parquet.ParquetFile(stream)
        except pyarrow.ArrowInvalid as cause:
            raise located(path, None, f"not a parquet file ({cause}); fetch it again") from cause
        number = 0
        for batch in table.iter_batches(batch_size=ROWS_PER_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
