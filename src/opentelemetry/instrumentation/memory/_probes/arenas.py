"""What is free in each of glibc's malloc arenas, and how much of it malloc_trim would give back.

malloc_info(3) writes for each arena how many free chunks there are by size. What glibc does with
them is in malloc/malloc.c, `mtrim` and `systrim`.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# A free chunk begins with six words that malloc needs. Chunks stand at multiples of two words.
_HEADER_BYTES: Final = 48
_ALIGNMENT: Final = 16
# The end of the heap keeps the smallest chunk there is, so that one can always be cut from it.
_LEAST_TOP_BYTES: Final = 33
_HEAP: Final = re.compile(rb'<heap nr="(\d{1,9})">(.*?)</heap>', re.DOTALL)
_CHUNKS: Final = re.compile(
    rb'<(?:size|unsorted) from="(\d{1,18})" to="(\d{1,18})" total="(\d{1,18})" count="(\d{1,18})"/>'
)
_TOTAL: Final = re.compile(rb'<total type="(fast|rest)" count="\d{1,18}" size="(\d{1,18})"/>')
_SYSTEM: Final = re.compile(rb'<system type="current" size="(\d{1,18})"/>')


@dataclass(frozen=True, slots=True)
class Chunks:
    """Free chunks of one size class, or those that malloc has not sorted yet."""

    smallest_bytes: int
    largest_bytes: int
    total_bytes: int
    count: int


@dataclass(frozen=True, slots=True)
class Arena:
    """One malloc arena.

    Attributes:
        is_main: Whether it is the one whose end malloc_trim gives back.
        system_bytes: What it has obtained from the system.
        free_bytes: What of that is free.
        top_bytes: What of that is free at its end.
        chunks: The rest of what is free.
    """

    is_main: bool
    system_bytes: int
    free_bytes: int
    top_bytes: int
    chunks: tuple[Chunks, ...] = ()

    @property
    def trimmable_bytes(self) -> int:
        """Return how much malloc_trim(0) would give back, by estimate, if all is resident."""
        whole_pages = sum(whole_page_bytes(chunks) for chunks in self.chunks)
        if self.is_main:
            whole_pages += max(self.top_bytes - _LEAST_TOP_BYTES, 0) // _PAGE_BYTES * _PAGE_BYTES
        return min(int(whole_pages), self.free_bytes)


def parse_malloc_info(text: bytes) -> tuple[Arena, ...]:
    """Return the arenas in what malloc_info wrote.

    Raises:
        ValueError: There is none in it, or one whose figures are missing or contradict each other.
    """
    arenas = tuple(_arena(match[1], match[2]) for match in _HEAP.finditer(text))
    if not arenas:
        raise ValueError("malloc_info: no arena in it")
    return arenas


def whole_page_bytes(chunks: Chunks) -> float:
    """Return how many bytes of free chunks are in pages that are free as a whole, by estimate.

    A chunk may begin anywhere within a page. Where chunks of one size class differ little, their
    mean tells. Those that malloc has not sorted yet may differ widely: free neighbours become one
    chunk, and where blocks were freed at random the lengths of such runs are spread exponentially.
    How far the largest is from the mean tells which of the two is nearer.
    """
    if chunks.count == 0:
        return 0.0
    mean_bytes = chunks.total_bytes / chunks.count
    by_mean = _whole_pages(mean_bytes)
    excess_bytes = mean_bytes - chunks.smallest_bytes
    if excess_bytes <= 0 or chunks.count == 1:
        return chunks.count * by_mean
    threshold = _HEADER_BYTES + _PAGE_BYTES - _ALIGNMENT
    if chunks.smallest_bytes >= threshold:
        return chunks.count * by_mean
    exponential = excess_bytes * math.exp(-(threshold - chunks.smallest_bytes) / excess_bytes)
    # Of this many exponentially spread lengths the largest would be there.
    expected_largest = chunks.smallest_bytes + excess_bytes * math.log(chunks.count)
    spread = (chunks.largest_bytes - mean_bytes) / max(expected_largest - mean_bytes, excess_bytes)
    weight = min(max(spread, 0.0), 1.0)
    return chunks.count * (weight * exponential + (1 - weight) * by_mean)


class ArenaProbe:
    """The malloc arenas of this process.

    malloc_info walks every free chunk, each arena locked in turn: it costs what mallinfo2 does. The
    interpreter is not kept waiting, since ctypes releases the GIL for a CDLL.
    """

    name = "malloc_info"

    def __init__(self, library: Any = None) -> None:
        self._library = library
        self._write: Callable[[], bytes] | None = None

    def read(self) -> tuple[Arena, ...]:
        """Return every arena, the main one first."""
        if self._write is None:
            self._write = _malloc_info_writer(self._library)
        return parse_malloc_info(self._write())

    def close(self) -> None:
        """Hold nothing."""


def _arena(number: bytes, text: bytes) -> Arena:
    chunks = tuple(Chunks(*map(int, match.groups())) for match in _CHUNKS.finditer(text))
    totals = {match[1]: int(match[2]) for match in _TOTAL.finditer(text)}
    system = _SYSTEM.search(text)
    if system is None or set(totals) != {b"fast", b"rest"}:
        raise ValueError("malloc_info: an arena is incomplete")
    # What is in size classes includes the small ("fast") chunks; what is in "rest" includes the
    # top, and not those.
    in_classes = sum(each.total_bytes for each in chunks)
    system_bytes, free_bytes = int(system[1]), totals[b"fast"] + totals[b"rest"]
    top_bytes = free_bytes - in_classes
    if top_bytes < 0 or any(each.count and each.total_bytes == 0 for each in chunks):
        raise ValueError("malloc_info: the figures of an arena contradict each other")
    return Arena(int(number) == 0, system_bytes, free_bytes, top_bytes, chunks)


def _whole_pages(chunk_bytes: float) -> float:
    return max(chunk_bytes - _HEADER_BYTES - _PAGE_BYTES + _ALIGNMENT, 0.0)


def _malloc_info_writer(library: Any) -> Callable[[], bytes]:
    try:
        import ctypes  # noqa: PLC0415 - some builds of Python lack it

        c = ctypes.CDLL(None) if library is None else library
        malloc_info, open_memstream, close, free = (
            c.malloc_info,
            c.open_memstream,
            c.fclose,
            c.free,
        )
    except (ImportError, AttributeError, OSError, TypeError) as error:
        raise SourceUnavailable(f"the C library has no malloc_info: {error}") from error
    malloc_info.argtypes = (ctypes.c_int, ctypes.c_void_p)
    for function in (close, free):
        function.argtypes = (ctypes.c_void_p,)
    open_memstream.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    open_memstream.restype = ctypes.c_void_p

    def text_of_malloc_info() -> bytes:
        text, length = ctypes.c_void_p(), ctypes.c_size_t()
        stream = open_memstream(ctypes.byref(text), ctypes.byref(length))
        if not stream:
            raise OSError("a stream in memory cannot be opened")
        outcome = malloc_info(0, stream)
        try:
            if close(stream) != 0 or outcome != 0:
                raise OSError("malloc_info could not write")
            return ctypes.string_at(text, length.value) if text else b""
        finally:
            free(text)

    return text_of_malloc_info
