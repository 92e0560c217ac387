"""The mappings of the process, one by one: /proc/self/smaps, or maps with pagemap.

Kernel: Documentation/filesystems/proc.rst and Documentation/admin-guide/mm/pagemap.rst. The whole
may take long, so everything comes in parts. Nothing keeps all mappings: ten thousand new objects
would make the garbage collector look through the heap of the application.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

_SMAPS: Final = "/proc/self/smaps"
_MAPS: Final = "/proc/self/maps"
_PAGEMAP: Final = "/proc/self/pagemap"
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# Of text the kernel gives a page at a time, whatever is asked for; each goes on behind the last
# mapping that was told. This much makes fewer new objects than start a garbage collection.
_TEXT_BYTES: Final = 32 * 1024
_PIECE_BYTES: Final = 64 * 1024
_ENTRY_BYTES: Final = 8
# A line of a mapping, or the one figure of it that is wanted. The kernel writes a newline within a
# path as an escape.
_LINE: Final = re.compile(
    rb"^(?:([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([-rwxps]{4}) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ [0-9]+ *"
    rb"([^\n]*)|Rss: +([0-9]{1,16}) kB)$",
    re.MULTILINE,
)
# The last byte of an entry has the "present" bit on top: these are the last bytes without it.
_ABSENT: Final = bytes(range(128))


@dataclass(slots=True)
class Mapping:
    """One mapping: where it is, what is allowed in it, what is mapped, how much of it is in RAM.

    `resident_bytes` is None where that was not read.
    """

    start: int
    end: int
    permissions: str
    path: str
    resident_bytes: int | None = None

    @property
    def size_bytes(self) -> int:
        """Return the size of its address range."""
        return self.end - self.start

    @property
    def is_accessible(self) -> bool:
        """Return whether anything in it may be read; otherwise its address range is reserved."""
        return self.permissions[:3] != "---"


class MappingParser:
    """Takes the text of smaps or maps in pieces that may end anywhere.

    Lines that it does not know are left out, for a newer kernel may write new ones.
    """

    def __init__(self) -> None:
        self._mappings: list[Mapping] = []
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Read all lines that are complete by now."""
        whole, newline, rest = piece.rpartition(b"\n")
        if not newline:
            self._rest += piece
            return
        text, self._rest = self._rest + whole, rest
        mappings = self._mappings
        for match in _LINE.finditer(text):
            start, end, permissions, path, kib = match.groups()
            if kib is None:
                told = path.decode("utf-8", "replace")
                mappings.append(Mapping(int(start, 16), int(end, 16), permissions.decode(), told))
            elif mappings:
                mappings[-1].resident_bytes = int(kib) * 1024

    def take(self, *, is_end: bool = False) -> list[Mapping]:
        """Return the mappings since the last time; the newest waits for its lines until the end."""
        kept = 0 if is_end else 1
        split = max(len(self._mappings) - kept, 0)
        taken, self._mappings = self._mappings[:split], self._mappings[split:]
        return taken


def read_mappings(path: str = _SMAPS) -> Generator[list[Mapping], None, None]:
    """Yield every mapping by address, those of 32 KiB of text at a time.

    For smaps that is some 45 mappings at 8 µs each, and 13 ms for each GiB in 4 KiB pages that is
    resident in them. Changes of mappings wait meanwhile, the interpreter does not.

    Raises:
        SourceUnavailable: There is no such file, or this process may not read it.
        ValueError: It was read, and there is no mapping in it.
    """
    descriptor = _opened(path)
    parser = MappingParser()
    unseen_bytes = seen = 0
    try:
        while piece := os.read(descriptor, _TEXT_BYTES):
            parser.feed(piece)
            unseen_bytes += len(piece)
            if unseen_bytes >= _TEXT_BYTES:
                unseen_bytes = 0
                taken = parser.take()
                seen += len(taken)
                yield taken
    finally:
        os.close(descriptor)
    taken = parser.take(is_end=True)
    if not seen and not taken:
        raise ValueError(f"{path}: no mapping in it")
    yield taken


def read_addresses(path: str = _MAPS) -> Generator[list[Mapping], None, None]:
    """Yield every mapping without what is resident in it: 2 µs each. Otherwise `read_mappings`."""
    return read_mappings(path)


def read_residency(
    parts: Iterable[list[Mapping]], largest_bytes: int, path: str = _PAGEMAP
) -> Generator[list[Mapping], None, None]:
    """Yield the same with `resident_bytes`, and nothing after each 32 MiB of addresses in between.

    Costs 10 ms for each GiB of addresses, 1 ms at a time.

    Args:
        parts: Mappings, some at a time. Those that are not accessible are left as they are.
        largest_bytes: Mappings of a larger address range are, too.
        path: The file.

    Raises:
        SourceUnavailable: There is no such file, or this process may not read it.
    """
    descriptor = _opened(path)
    try:
        unseen_bytes = 0
        for part in parts:
            for mapping in part:
                if not mapping.is_accessible or mapping.size_bytes > largest_bytes:
                    continue
                mapping.resident_bytes = 0
                position = mapping.start // _PAGE_BYTES * _ENTRY_BYTES
                end = mapping.end // _PAGE_BYTES * _ENTRY_BYTES
                while position < end:
                    entries = _entries(descriptor, min(_PIECE_BYTES, end - position), position)
                    if not entries:
                        break
                    mapping.resident_bytes += present_pages(entries) * _PAGE_BYTES
                    position += len(entries)
                    unseen_bytes += len(entries)
                    if unseen_bytes >= _PIECE_BYTES:
                        unseen_bytes = 0
                        yield []
            yield part
    finally:
        os.close(descriptor)


def present_pages(entries: bytes) -> int:
    """Return how many entries of a pagemap, 8 bytes each, are of pages in RAM."""
    return len(entries[_ENTRY_BYTES - 1 :: _ENTRY_BYTES].translate(None, _ABSENT))


def _entries(descriptor: int, length: int, position: int) -> bytes:
    try:
        entries = os.pread(descriptor, length, position)
    except OSError:  # addresses of the kernel's (vsyscall)
        return b""
    return entries[: len(entries) // _ENTRY_BYTES * _ENTRY_BYTES]


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise SourceUnavailable(f"{path}: {error.strerror or 'cannot be opened'}") from None
