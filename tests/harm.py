"""What can happen to a file."""

from pathlib import Path


def flip(path: Path) -> None:
    """One bit in its middle turns."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Its second half is gone."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
