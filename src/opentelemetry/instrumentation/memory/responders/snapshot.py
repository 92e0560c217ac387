"""Writes snapshots as files: whole or not at all, for the owner only, within a quota."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory.responders.snapshot_document import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

_logger = logging.getLogger(__name__)

MOST_FILES: Final = 32
MOST_BYTES: Final = 16 * 2**20

_NAME: Final = re.compile(
    r"memory-snapshot-\d{8}T\d{6}\.\d{3}Z-\d+-"
    r"(confirmed|fragmentation|near_limit|signal|api)\.json",
    re.ASCII,
)
_UNFINISHED_PREFIX: Final = ".memory-snapshot-"
_UNFINISHED_SUFFIX: Final = ".tmp"
# What a process that was killed while it wrote has left; no write takes that long.
_ABANDONED_SECONDS: Final = 3600.0


class SnapshotWriter:
    """Keeps the newest snapshots of all processes that write to one directory.

    Only files under names of its own are counted and removed, the oldest first. Nothing is ever
    raised: each cause makes one warning, and the next snapshot is tried all the same.

    A write takes milliseconds, or longer on a slow volume: never call it in the application's
    thread. It holds no lock, so a fork cannot break it.

    Args:
        directory: Where the files go; made, for the owner only, when it is missing.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._told: set[str] = set()

    def write(self, document: dict[str, Any]) -> Path | None:
        """Write what `document()` has made, and return the file, or None when it failed."""
        try:
            return self._write(document)
        except Exception as error:  # noqa: BLE001 - near a limit even memory may be missing
            self._tell(error)
            return None

    def _write(self, document: dict[str, Any]) -> Path:
        content = to_json(document).encode()
        target = self._directory / file_name(document)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_replaceable(target)
        self._make_room(for_files=1, for_bytes=len(content), keep=target)
        # For the owner only, and under a name that no other process has.
        descriptor, unfinished = tempfile.mkstemp(
            prefix=_UNFINISHED_PREFIX, suffix=_UNFINISHED_SUFFIX, dir=self._directory
        )
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
                file.write(content)
            now_seconds = Path(unfinished).stat().st_mtime
            Path(unfinished).replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(unfinished).unlink()
            raise
        # Others may have written meanwhile, each into the last free place.
        self._make_room(for_files=0, for_bytes=0, keep=target)
        self._remove_abandoned(now_seconds)
        return target

    def _make_room(self, for_files: int, for_bytes: int, keep: Path) -> None:
        kept = [*self._own_files()]
        most_files, most_bytes = MOST_FILES - for_files, MOST_BYTES - for_bytes
        # The time stands first in the name. What was just written stays, whatever the clock says.
        for path, size in sorted(kept):
            total_bytes = sum(each for _, each in kept)
            if len(kept) <= most_files and total_bytes <= most_bytes:
                return
            if path != keep:
                kept.remove((path, size))
                self._remove(path)

    def _own_files(self) -> Iterator[tuple[Path, int]]:
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        size = entry.stat(follow_symlinks=False).st_size
                        yield self._directory / entry.name, size

    def _remove_abandoned(self, now_seconds: float) -> None:
        for path in self._directory.glob(f"{_UNFINISHED_PREFIX}*{_UNFINISHED_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                if now_seconds - path.lstat().st_mtime > _ABANDONED_SECONDS:
                    self._remove(path)

    def _remove(self, path: Path) -> None:
        try:
            path.unlink()
        except FileNotFoundError:
            return  # another process was faster
        except OSError as error:
            self._tell(error, "old memory snapshots cannot be removed from")

    def _tell(self, error: Exception, what: str = "no memory snapshot is written to") -> None:
        number = error.errno if isinstance(error, OSError) else None
        cause = f"{what} {type(error).__name__} {number}"
        if cause not in self._told:
            self._told.add(cause)
            reason = errno_text(error)
            _logger.warning("%s %s: %s", what, self._directory, reason)


def file_name(document: dict[str, Any]) -> str:
    """Return what the file of a document is called."""
    time = re.sub(r"[-:]", "", document["written_at"])
    name = f"memory-snapshot-{time}-{document['process']['pid']}-{document['reason']}.json"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a snapshot")
    return name


def errno_text(error: Exception) -> str:
    """Return the cause in words, without the path: the warning has the directory already."""
    words = error.strerror if isinstance(error, OSError) else None
    return words or str(error) or type(error).__name__


def _check_replaceable(target: Path) -> None:
    """Refuse a name that something else than a snapshot of ours has taken."""
    try:
        found = target.lstat()
    except FileNotFoundError:
        return
    owner = os.geteuid() if hasattr(os, "geteuid") else found.st_uid
    if not stat.S_ISREG(found.st_mode) or found.st_uid != owner:
        raise FileExistsError(
            errno.EEXIST, f"{target.name} is there already, and is no file of this user"
        )
