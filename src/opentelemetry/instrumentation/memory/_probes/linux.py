"""The resident set, as Linux's /proc tells it (kernel: Documentation/filesystems/proc.rst)."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Final

from opentelemetry.instrumentation.memory._probes.base import Resident
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_STATM_FIELDS: Final = 7
_ENOUGH_BYTES: Final = 4096


def parse_statm(text: bytes, page_bytes: int = _PAGE_BYTES) -> Resident:
    """Return the sizes in the text of `/proc/[pid]/statm`.

    gVisor and some emulations write zeros for what they do not know. No process runs without a
    resident page, nor without a mapped file, so a zero is an unknown there.

    Raises:
        ValueError: The text is not that of statm, or knows no resident set.
    """
    pages = [int(word) for word in text.split()]
    if len(pages) != _STATM_FIELDS or min(pages) < 0:
        raise ValueError(f"statm: expected {_STATM_FIELDS} numbers, got {text[:80]!r}")
    size, resident, shared = pages[:3]
    if resident == 0:
        raise ValueError("statm: a resident set of zero pages")
    mapped = min(shared, resident) * page_bytes
    return Resident(resident * page_bytes, size * page_bytes, mapped or None)


class StatmProbe:
    """Resident, virtual and mapped size from a descriptor of `statm` that stays open.

    Reading costs 2 µs. The descriptor keeps showing the process that opened it, so it is opened
    again when the pid has changed. Daemons close descriptors that are not theirs: a number that no
    longer stands for this file is somebody else's now, and neither read nor closed.
    """

    name = "statm"

    def __init__(self, path: str = "/proc/self/statm") -> None:
        self._path = path
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None
        self._pid = 0

    def read(self) -> Resident:
        """Return the sizes of the calling process, in bytes."""
        pid = os.getpid()
        if self._descriptor is None or self._pid != pid or not self._is_ours(self._descriptor):
            self.close()
            self._descriptor = self._open()
            self._pid = pid
        return parse_statm(os.pread(self._descriptor, _ENOUGH_BYTES, 0))

    def close(self) -> None:
        """Close the descriptor if it is still ours."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or not self._is_ours(descriptor):
            return
        with suppress(OSError):
            os.close(descriptor)

    def _open(self) -> int:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            raise SourceUnavailable(f"{self._path} does not exist; mount /proc") from None
        status = os.fstat(descriptor)
        self._identity = status.st_dev, status.st_ino
        return descriptor

    def _is_ours(self, descriptor: int) -> bool:
        try:
            status = os.fstat(descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity


_SHARED_MEMORY: Final = re.compile(rb"^RssShmem:\s+(\d+) kB$", re.MULTILINE)


def parse_shared_memory(text: bytes) -> int:
    """Return the resident shared memory in bytes, from the text of `/proc/[pid]/status`.

    Raises:
        SourceUnavailable: The kernel is older than 4.5, or an emulation of one.
        ValueError: The number is absurdly long.
    """
    match = _SHARED_MEMORY.search(text)
    if match is None:
        raise SourceUnavailable("status has no RssShmem line (Linux 4.5 or newer writes it)")
    return int(match[1]) * 1024


class SharedMemoryProbe:
    """Resident shared memory (`RssShmem`), which statm counts together with mapped files.

    Costs about 8 µs, for the kernel formats the whole of `status`.
    """

    name = "status"

    def __init__(self, path: str = "/proc/self/status") -> None:
        self._path = path

    def read(self) -> int:
        """Return the bytes of shared memory and tmpfs pages in the resident set."""
        try:
            # "self" is looked up at each open, so a forked child reads its own pages.
            with open(self._path, "rb", buffering=0) as status:  # noqa: PTH123 - a Path costs more than the read
                return parse_shared_memory(status.read())
        except FileNotFoundError:
            raise SourceUnavailable(f"{self._path} does not exist; mount /proc") from None

    def close(self) -> None:
        """Hold nothing."""
