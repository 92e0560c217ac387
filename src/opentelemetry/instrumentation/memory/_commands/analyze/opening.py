"""An input as bytes: a file or standard input, gzip'd or not."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from opentelemetry.instrumentation.memory._commands.analyze.problems import InputError, Problem

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

STANDARD_INPUT: Final = "-"
_GZIP: Final = b"\x1f\x8b"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# What else a recording may be wrapped in, by its first bytes.
_WRAPPINGS: Final = {
    b"\x28\xb5\x2f\xfd": "zstd data",
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_TEXT_EXPECTED: Final = "UTF-8 text, plain or gzip'd"
PEEK_BYTES: Final = 64 * 2**10


class Input:
    """An open input; a context manager.

    Raises:
        InputError: There is no such file, it cannot be read, or it is empty or not text.
    """

    def __init__(self, name: str) -> None:
        self._file: IO[bytes] = _open(name)
        try:
            self._size = _size(self._file)
            first = _peek(self._file)
            if name.endswith(".gz"):
                _check_gzip(first)
            self.stream = self._file
            if first.startswith(_GZIP):
                self.stream = cast("IO[bytes]", gzip.GzipFile(fileobj=self._file))
            self.first_bytes = _peek(self.stream)
            _check_text(self.first_bytes)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._file is not sys.stdin.buffer:
            self._file.close()

    def share_read(self) -> float | None:
        """Return which share of the file has been read, or None where its size is unknown."""
        return None if not self._size else min(self._file.tell() / self._size, 1.0)

    def lines(self, longest_bytes: int) -> Iterator[str]:
        """Yield line after line, line ends included.

        Raises:
            InputError: The file cannot be read to its end, or has a line longer than that.
        """
        number = 0
        while True:
            line = _read(self.stream, longest_bytes + 1, line=number + 1)
            if not line:
                return
            number += 1
            if len(line) > longest_bytes:
                problem = Problem(
                    f"a line of more than {longest_bytes} bytes", "shorter lines", number
                )
                raise InputError(problem)
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            yield line.decode("utf-8", "backslashreplace")


def _open(name: str) -> IO[bytes]:
    if name == STANDARD_INPUT:
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(Problem(reason[:1].lower() + reason[1:], "a file to read")) from error


def _size(file: IO[bytes]) -> int | None:
    try:
        return os.fstat(file.fileno()).st_size if file.seekable() else None
    except OSError:
        return None


def _peek(stream: IO[bytes]) -> bytes:
    try:
        return cast("io.BufferedReader", stream).peek(PEEK_BYTES)[:PEEK_BYTES]
    except (EOFError, OSError, zlib.error) as error:
        raise _unreadable(error) from error


def _read(stream: IO[bytes], size: int, line: int) -> bytes:
    try:
        return stream.readline(size)
    except (EOFError, OSError, zlib.error) as error:
        raise _unreadable(error, line) from error


def _unreadable(error: Exception, line: int | None = None) -> InputError:
    if isinstance(error, (EOFError, gzip.BadGzipFile, zlib.error)):
        found = "gzip data that ends too early" if isinstance(error, EOFError) else "damaged gzip"
        return InputError(Problem(found, "a whole gzip file", line))
    return InputError(Problem(str(getattr(error, "strerror", error)), "a readable file", line))


def _check_gzip(first: bytes) -> None:
    if first and not first.startswith(_GZIP):
        raise InputError(Problem("no gzip data", "gzip data, as the name ends in .gz"))


def _check_text(first: bytes) -> None:
    if not first.strip():
        raise InputError(Problem("nothing", "a recording; the file is empty"))
    for start, what in _WRAPPINGS.items():
        if first.startswith(start):
            raise InputError(Problem(what, _TEXT_EXPECTED))
    if b"\0" in first:
        raise InputError(Problem("binary data", _TEXT_EXPECTED))
