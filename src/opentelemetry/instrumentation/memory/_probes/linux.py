"""The resident set, as Linux's /proc tells it (kernel: Documentation/filesystems/proc.rst)."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from opentelemetry.instrumentation.memory._probes.base import Resident
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_STATM_BYTES: Final = 256  # seven numbers of at most 20 digits
_STATUS_BYTES: Final = 4096  # three times what it usually has


def parse_statm(text: bytes, page_bytes: int = _PAGE_BYTES) -> Resident:
    """Return the sizes in the text of `/proc/[pid]/statm`.

    gVisor and some emulations write zeros for what they do not know. No process runs without a
    resident page, nor without a mapped file, so a zero is an unknown there.

    Raises:
        ValueError: The text is not that of statm, or knows no resident set.
    """
    try:
        size, resident, shared, _, _, _, _ = text.split()
        size_pages, resident_pages, shared_pages = int(size), int(resident), int(shared)
    except ValueError:
        raise ValueError(f"statm: expected seven numbers, got {text[:80]!r}") from None
    if resident_pages <= 0 or size_pages < 0 or shared_pages < 0:
        raise ValueError(f"statm: a resident set of zero pages, or a negative size: {text[:80]!r}")
    return Resident(
        resident_pages * page_bytes,
        size_pages * page_bytes,
        min(shared_pages, resident_pages) * page_bytes or None,
    )


class _KeptOpen:
    """A file of /proc/self whose descriptor stays open, which halves what reading it costs.

    The descriptor keeps showing the process that opened it, so it is opened again when the pid has
    changed. Daemons close descriptors that are not theirs: a number that no longer stands for this
    file is somebody else's now, and never closed, nor is what it shows told.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None
        self._pid = 0

    def close(self) -> None:
        """Close the descriptor if it is still ours."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or not self._is_ours(descriptor):
            return
        with suppress(OSError):
            os.close(descriptor)

    def _opened_again(self) -> int:
        self.close()
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            raise SourceUnavailable(f"{self._path} does not exist; mount /proc") from None
        status = os.fstat(descriptor)
        self._identity = status.st_dev, status.st_ino
        self._descriptor, self._pid = descriptor, os.getpid()
        return descriptor

    def _is_ours(self, descriptor: int) -> bool:
        try:
            status = os.fstat(descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity


class StatmProbe(_KeptOpen):
    """Resident, virtual and mapped size; reading costs 1.5 µs.

    To ask whose the descriptor is costs 0.6 µs more, so that is done only when the answer may be
    no: the text is not that of statm, or the virtual size is not what it was, nor would be in
    another process's statm.
    """

    name = "statm"

    def __init__(self, path: str = "/proc/self/statm") -> None:
        super().__init__(path)
        self._virtual_bytes = 0

    def read(self) -> Resident:
        """Return the sizes of the calling process, in bytes."""
        descriptor = self._descriptor
        if descriptor is None or self._pid != os.getpid():
            return self._read_anew()
        try:
            # Where it is somebody else's, reading at an offset leaves theirs where it was.
            resident = parse_statm(os.pread(descriptor, _STATM_BYTES, 0))
        except (OSError, ValueError):
            return self._read_anew()
        if resident.virtual_bytes != self._virtual_bytes:
            if not self._is_ours(descriptor):
                return self._read_anew()
            self._virtual_bytes = resident.virtual_bytes
        return resident

    def _read_anew(self) -> Resident:
        resident = parse_statm(os.pread(self._opened_again(), _STATM_BYTES, 0))
        self._virtual_bytes = resident.virtual_bytes
        return resident


# To find a plain string costs half of what a regular expression does.
_SHARED_MEMORY: Final = b"\nRssShmem:"


def parse_shared_memory(text: bytes) -> int:
    """Return the resident shared memory in bytes, from the text of `/proc/[pid]/status`.

    Raises:
        SourceUnavailable: The kernel is older than 4.5, or an emulation of one.
        ValueError: The line has no number of kB.
    """
    start = text.find(_SHARED_MEMORY)
    if start < 0:
        raise SourceUnavailable("status has no RssShmem line (Linux 4.5 or newer writes it)")
    start += len(_SHARED_MEMORY)
    end = text.find(b" kB\n", start)
    kib = int(text[start:end]) if end >= 0 else -1
    if kib < 0:
        raise ValueError("status: the RssShmem line has no number of kB")
    return kib * 1024


class SharedMemoryProbe(_KeptOpen):
    """Resident shared memory (`RssShmem`), which statm counts together with mapped files.

    Costs about 3 µs, for the kernel formats the whole of `status`. The pid in it tells whose it is.
    """

    name = "status"

    def __init__(self, path: str = "/proc/self/status") -> None:
        super().__init__(path)
        self._pid_line: bytes | None = None

    def read(self) -> int:
        """Return the bytes of shared memory and tmpfs pages in the resident set."""
        descriptor, pid_line = self._descriptor, self._pid_line
        if descriptor is None or pid_line is None or self._pid != os.getpid():
            return self._read_anew()
        try:
            text = os.pread(descriptor, _STATUS_BYTES, 0)
        except OSError:
            return self._read_anew()
        if pid_line not in text or len(text) == _STATUS_BYTES:
            return self._read_anew()
        return parse_shared_memory(text)

    def _read_anew(self) -> int:
        descriptor = self._opened_again()
        parts, offset = [], 0
        # Longer than usual in a process that is in hundreds of groups.
        while part := os.pread(descriptor, _STATUS_BYTES, offset):
            parts.append(part)
            offset += len(part)
        text = b"".join(parts)
        start = text.find(b"\nPid:")
        # Where no line tells the pid, the file is opened for each reading.
        self._pid_line = text[start : text.find(b"\n", start + 1) + 1] if start >= 0 else None
        return parse_shared_memory(text)
