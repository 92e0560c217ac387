"""Keeps the processes' state in files, each written whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import logging
import os
import tempfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._commands.watch.series import Series
from opentelemetry.instrumentation.memory._detection.detector import STATE_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.instrumentation.memory._commands.watch.identity import Identity

_logger = logging.getLogger(__name__)

FORMAT: Final = "opentelemetry-instrumentation-memory watch"
FORMAT_VERSION: Final = 2
_HEADER: Final = {"format": FORMAT, "version": FORMAT_VERSION, "detector": STATE_VERSION}
SHARDS: Final = 64
_LONGEST_LINE_BYTES: Final = 2 * 2**20


class DirectoryInUseError(Exception):
    """Another instance keeps its state in this directory."""


def shard_of(identity: Identity) -> int:
    """Return the number of the file that a process is in."""
    return zlib.crc32("\0".join(identity).encode("utf-8", "surrogatepass")) % SHARDS


class StateStore:
    """One directory of one instance: 64 files of JSON lines, replaced one at a time.

    A file that cannot be trusted, or is of another version of the detector, is set aside as
    `*.rejected` with a warning: its processes begin anew, all others go on.

    Args:
        directory: Where the files are; made, for the owner only, when it is missing.

    Raises:
        DirectoryInUseError: Another instance uses it.
        OSError: It cannot be written.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise DirectoryInUseError(str(self._directory)) from None
        for each in self._directory.glob(".shard-*.tmp"):
            each.unlink()  # of an instance that was killed while it wrote

    def close(self) -> None:
        """Leave the directory to another instance."""
        os.close(self._lock)

    def path(self, shard: int) -> Path:
        """Return the file of one shard."""
        return self._directory / f"shard-{shard:02}.jsonl"

    def load(self) -> Iterator[Series]:
        """Yield every process that was saved and can be trusted."""
        rejected = 0
        for shard in range(SHARDS):
            path = self.path(shard)
            try:
                yield from self._read(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, RecursionError) as error:
                self._set_aside(path, error, is_told=rejected == 0)
                rejected += 1
        if rejected > 1:
            _logger.warning("%d files of state were set aside", rejected)

    def save(self, shard: int, states: Iterable[dict[str, Any]]) -> None:
        """Replace one file.

        Raises:
            OSError: It could not be written; what was there before still is.
        """
        path = self.path(shard)
        descriptor, name = tempfile.mkstemp(
            prefix=f".shard-{shard:02}.", suffix=".tmp", dir=self._directory
        )
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
                _write(file, states)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        self._sync_directory()

    def _read(self, path: Path) -> list[Series]:
        digest = hashlib.sha256()
        found: list[Series] = []
        with path.open("rb") as file:
            lines = iter(lambda: file.readline(_LONGEST_LINE_BYTES), b"")
            header = next(lines, b"")
            if json.loads(header or b"null") != _HEADER:
                raise ValueError("not a state of this version")
            digest.update(header)
            for line in lines:
                content = json.loads(line)
                if not isinstance(content, dict):
                    raise ValueError("damaged: a line is no object")  # noqa: TRY004 - one kind of error for all damage
                if "sha256" in content:
                    if content["sha256"] != digest.hexdigest():
                        raise ValueError("damaged: the checksum differs")
                    return found
                digest.update(line)
                found.append(Series.from_state(content))
        raise ValueError("damaged: it has no end")

    def _set_aside(self, path: Path, cause: Exception, *, is_told: bool) -> None:
        where = "ignored"
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".rejected"))
            where = f"set aside as {path.with_suffix('.rejected').name}"
        if is_told:
            _logger.warning("state %s: %s; %s", path, cause, where)

    def _sync_directory(self) -> None:
        # The new name survives a power cut only once its directory is written.
        with contextlib.suppress(OSError):
            descriptor = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _write(file: IO[bytes], states: Iterable[dict[str, Any]]) -> None:
    digest = hashlib.sha256()
    for content in itertools.chain((_HEADER,), states):
        line = json.dumps(content, separators=(",", ":")).encode() + b"\n"
        digest.update(line)
        file.write(line)
    file.write(json.dumps({"sha256": digest.hexdigest()}).encode() + b"\n")
