"""Keeps a baseline in a file, and trusts no file that it finds."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._detection.baseline import Baseline

if TYPE_CHECKING:
    from collections.abc import Iterator

_logger = logging.getLogger(__name__)

FORMAT: Final = "opentelemetry-instrumentation-memory baseline"
FORMAT_VERSION: Final = 1
MAXIMUM_BYTES: Final = 64 * 1024

_SLUG_CHARACTERS: Final = 40
_IDENTITY_CHARACTERS: Final = 200
_HASH_CHARACTERS: Final = 16
# What a process that was killed while it wrote has left; no write takes that long.
_ABANDONED_SECONDS: Final = 3600.0
_MOST_FORGOTTEN: Final = 2**53
_REFUSED: Final = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO)


def runtime_version() -> str:
    """Return the implementation and the minor version of Python: `cpython 3.12`."""
    return f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class _Saved:
    """What a file says: no baseline when it was forgotten, and how often it was."""

    baseline: Baseline | None = None
    forgotten: int = 0


_NOTHING: Final = _Saved()


class BaselineStore:
    """The baseline of one version of one service on one version of Python, in one file.

    Worker processes share the file: what one saves is merged with what is there. What one forgets
    is forgotten for all: the file counts how often that was, and who began before saves no more.
    Nothing here ever raises: a file that cannot be trusted is set aside as `*.rejected`, a
    directory that cannot be written is left alone, and either makes one warning.

    Reads and writes take milliseconds, or longer on a slow volume: call from the sampling thread.

    Args:
        directory: Where the file is; made, for the owner only, when it is missing.
        service_name: What the service is called.
        service_version: Its version; another one starts with a new baseline.
        runtime: The same for Python.
        role: Tells processes of one service apart that differ in what they do, such as the master
            and the workers of a server.
    """

    def __init__(
        self,
        directory: str,
        service_name: str,
        service_version: str,
        runtime: str | None = None,
        role: str = "",
    ) -> None:
        identity = {
            "service.name": service_name,
            "service.version": service_version,
            "runtime": runtime_version() if runtime is None else runtime,
            "role": role,
        }
        self._directory = Path(directory)
        self.path = self._directory / _file_name(identity)
        self._identity = {name: each[:_IDENTITY_CHARACTERS] for name, each in identity.items()}
        # How often the file had been forgotten when this process began with it, or forgot it
        # itself; None: not read yet.
        self._known_forgotten: int | None = None
        self._is_off = False
        self._has_warned_of_file = False
        self._has_warned_of_reading = False

    def load(self) -> Baseline | None:
        """Return what was saved, or None when there is nothing that can be trusted."""
        self._make_directory()
        try:
            saved = self._read_or_set_aside()
        except OSError as error:
            self._warn_of_reading(error)
            return None
        self._known_forgotten = saved.forgotten
        return saved.baseline

    def save(self, baseline: Baseline) -> None:
        """Write what is normal when both this and the file are.

        Nothing is written after a write has failed, after another process has forgotten the file,
        or while it cannot be read: what others have saved would be lost.
        """
        if self._is_off:
            return
        self._make_directory()
        try:
            saved = self._read_or_set_aside()
        except OSError as error:
            self._warn_of_reading(error)
            return
        if self._known_forgotten is None:
            self._known_forgotten = saved.forgotten
        if saved.forgotten > self._known_forgotten or self._is_off:
            return
        is_current = saved.forgotten == self._known_forgotten
        before = saved.baseline if is_current else None
        merged = baseline if before is None else baseline.merged(before)
        if merged == before:
            return
        try:
            self._write(self._encode(merged, self._known_forgotten))
        except OSError as error:
            self._turn_off(error)

    def forget(self) -> bool:
        """Forget what all runs have saved so far, and what those that still run would save.

        Returns:
            False when it is worth another try.
        """
        try:
            saved = self._read_or_set_aside()
        except OSError as error:
            self._warn_of_reading(error)
            return False
        self._known_forgotten = max(saved.forgotten, self._known_forgotten or 0) + 1
        self._write_mark(self._known_forgotten)
        return True

    def keep_forgotten(self) -> None:
        """Forget it once more if another process was about to save at that moment."""
        try:
            saved = self._read_or_set_aside()
        except OSError as error:
            self._warn_of_reading(error)
            return
        if self._known_forgotten is not None and saved.forgotten < self._known_forgotten:
            self._write_mark(self._known_forgotten)

    def _write_mark(self, forgotten: int) -> None:
        try:
            self._write(self._encode(None, forgotten))
        except OSError as error:
            self._turn_off(error)
            # A full disk has no room for the mark, but the file can go.
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _make_directory(self) -> None:
        if self._is_off:
            return
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A directory that exists may be on a read-only volume: say so now, not in an hour.
            if not os.access(self._directory, os.W_OK | os.X_OK):
                raise PermissionError("not writable")
        except OSError as error:
            self._turn_off(error)

    def _read_or_set_aside(self) -> _Saved:
        try:
            return self._read()
        except (OSError, ValueError, RecursionError) as error:
            # A process that has run out of descriptors says nothing about the file.
            if isinstance(error, OSError) and error.errno not in _REFUSED:
                raise
            self._set_aside(error)
            return _NOTHING

    def _read(self) -> _Saved:
        # Neither a link that leads elsewhere nor a pipe that blocks: what is opened is looked at.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            descriptor = os.open(self.path, flags)
        except (FileNotFoundError, NotADirectoryError):
            return _NOTHING
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("not a regular file")
            with open(descriptor, "rb", closefd=False) as file:
                raw = file.read(MAXIMUM_BYTES + 1)
        finally:
            os.close(descriptor)
        if len(raw) > MAXIMUM_BYTES:
            raise ValueError(f"larger than {MAXIMUM_BYTES} bytes")
        return self._decode(raw)

    def _decode(self, raw: bytes) -> _Saved:
        try:
            content = json.loads(raw)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError("not a baseline file")
        version = content.get("version")
        if version != FORMAT_VERSION:
            raise ValueError(f"version {version!r:.20}, expected {FORMAT_VERSION}")
        if content.get("identity") != self._identity:
            raise ValueError("of another service, version or runtime")
        state, forgotten = content.get("baseline"), content.get("forgotten")
        if content.get("sha256") != _checksum([forgotten, state]):
            raise ValueError("damaged: the checksum differs")
        if type(forgotten) is not int or not 0 <= forgotten <= _MOST_FORGOTTEN:
            raise ValueError("damaged: not a number of times")
        baseline = None if state is None else Baseline.from_state(state)
        return _Saved(baseline, forgotten)

    def _encode(self, baseline: Baseline | None, forgotten: int) -> bytes:
        state = None if baseline is None else baseline.to_state()
        content = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "identity": self._identity,
            "sha256": _checksum([forgotten, state]),
            "forgotten": forgotten,
            "baseline": state,
        }
        return json.dumps(content).encode()

    def _write(self, content: bytes) -> None:
        prefix = f".{self.path.stem}."
        # For the owner only, and under a name that no other process has.
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=self._directory)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            now_seconds = Path(name).stat().st_mtime
            Path(name).replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        with contextlib.suppress(OSError):
            self._sync_directory()
            for each in self._abandoned(prefix, now_seconds):
                each.unlink()

    def _sync_directory(self) -> None:
        # The new name survives a power cut only once its directory is written.
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _abandoned(self, prefix: str, now_seconds: float) -> Iterator[Path]:
        for each in self._directory.glob(f"{prefix}*.tmp"):
            if now_seconds - each.stat().st_mtime > _ABANDONED_SECONDS:
                yield each

    def _set_aside(self, cause: Exception) -> None:
        rejected = self.path.with_suffix(".rejected")
        where = "ignored, and left where it is"
        with contextlib.suppress(OSError):
            self.path.replace(rejected)
            where = f"set aside as {rejected.name}"
        if not self._has_warned_of_file:
            _logger.warning("baseline %s: %s; %s", self.path, cause, where)
        self._has_warned_of_file = True

    def _warn_of_reading(self, cause: OSError) -> None:
        if not self._has_warned_of_reading:
            _logger.warning("baseline %s: %s; ignored, and left where it is", self.path, cause)
        self._has_warned_of_reading = True

    def _turn_off(self, cause: OSError) -> None:
        if not self._is_off:
            _logger.warning("baselines are not saved in %s: %s", self._directory, cause)
        self._is_off = True


def _file_name(identity: dict[str, str]) -> str:
    # Names come from users: what is readable is for people, the hash tells services apart.
    words = f"{identity['service.name']} {identity['role']}".lower()
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:_SLUG_CHARACTERS].strip("-")
    return f"{slug or 'service'}-{_checksum(identity)[:_HASH_CHARACTERS]}.json"


def _checksum(state: Any) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
