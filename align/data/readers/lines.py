"""A file on disk -> its decoded lines, each with its number; gzip is recognised by content, not by name."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from align.data.errors import DataError, located

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = "\ufeff"


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed where they are gzip.

    Raises:
        DataError: there is no such file, it cannot be read, or its gzip stream is damaged.
    """
    try:
        with path.open("rb") as plain:
            if plain.peek(2)[:2] == GZIP_MAGIC:
                with gzip.open(plain) as unpacked:
                    yield unpacked  # type: ignore[misc]
            elif path.suffix == ".gz":
                raise located(path, None, "named .gz but not gzip; rename it or fetch it again")
            else:
                yield plain
    except FileNotFoundError as cause:
        raise located(
            path,
            None,
            "no such file; check the path, or set ALIGN_DATA (paths.data) to the folder that holds it",
        ) from cause
    except IsADirectoryError as cause:
        raise located(path, None, "is a folder; name one file, with one source per file") from cause
    except PermissionError as cause:
        raise located(path, None, "cannot be read; check its permissions") from cause
    except (EOFError, zlib.error, gzip.BadGzipFile) as cause:
        raise located(path, None, f"the gzip stream is damaged ({cause}); fetch the file again") from cause


def decoded_lines(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    r"""(line number from 1, line without its end) of a text file; a byte-order mark is dropped.

    Lines end at `\n` or `\r\n` only, so that Unicode separators inside a text do not split it.

    Raises:
        DataError: as `opened`, or a line is not in this encoding; the message names the line and the byte.
    """
    with opened(path) as stream:
        yield from decoded_from(path, stream, encoding)


def decoded_from(path: Path, stream: IO[bytes], encoding: str, first: int = 1) -> Iterator[tuple[int, str]]:
    """The same of bytes from line `first` of the file on."""
    for number, raw in enumerate(stream, start=first):
        line = decoded(path, number, raw, encoding)
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        yield number, line.removesuffix("\n").removesuffix("\r")


def decoded(path: Path, number: int, raw: bytes, encoding: str) -> str:
    """One line of bytes as text.

    Raises:
        DataError: the bytes are not in this encoding.
    """
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as cause:
        raise undecodable(path, number, raw[cause.start], cause.start, encoding) from cause


def undecodable(path: Path, number: int, byte: int, before: int, encoding: str) -> DataError:
    """The error of a byte that is not in this encoding, with so many bytes before it in its line."""
    return located(
        path,
        number,
        f"byte 0x{byte:02x} at column {before + 1} is not {encoding}; set `encoding` "
        "(cp949 for older Korean files, latin-1 for western European ones), or convert the file to utf-8",
    )
