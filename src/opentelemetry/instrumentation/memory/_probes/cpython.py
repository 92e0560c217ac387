"""CPython's object allocator ("pymalloc", Objects/obmalloc.c) and garbage collector."""

from __future__ import annotations

import gc
import re
import sys
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._probes.base import Allocator, SourceHidden
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable
from opentelemetry.instrumentation.memory.model import GcGeneration

if TYPE_CHECKING:
    from collections.abc import Callable

# The figures stand near the end, in this order. To find a plain string first is what makes it fast:
# the rows of size classes before it are never tried.
_TOTALS: Final = b"# arenas allocated current"
_FIGURES: Final = re.compile(
    rb"(\d+) arenas \* (\d+) bytes/arena[^#]*# bytes in allocated blocks\s*=\s*([\d,]+)"
)


def parse_allocator_stats(text: bytes) -> Allocator:
    """Return the object allocator's figures from the text of `_PyObject_DebugMallocStats`.

    Raises:
        SourceUnavailable: The text is empty (`PYTHONMALLOC=malloc`) or another allocator's.
        ValueError: It looks like pymalloc's, and the figures are missing or contradict each other.
    """
    totals = text.find(_TOTALS)
    if totals < 0:
        if not text.strip():
            raise SourceUnavailable(
                "the object allocator is off (PYTHONMALLOC=malloc); "
                "small objects are in native_heap"
            )
        # mimalloc's text has figures, of the calling thread alone: they would be a lie.
        raise SourceUnavailable(
            "the object allocator is not pymalloc (mimalloc, or a free-threaded build); "
            "its bytes are in other_anonymous"
        )
    figures = _FIGURES.search(text, totals)
    if figures is None:
        raise ValueError("allocator statistics are incomplete")
    arenas, arena_bytes, used = figures.groups()
    used_bytes, committed_bytes = int(used.replace(b",", b"")), int(arenas) * int(arena_bytes)
    if used_bytes > committed_bytes:
        raise ValueError(f"allocator statistics: {used_bytes} used of {committed_bytes} bytes")
    return Allocator(used_bytes, committed_bytes)


class ObjectAllocatorProbe:
    """Live and obtained bytes of pymalloc, of the calling interpreter.

    `_PyObject_DebugMallocStats` walks every pool with the GIL held: 11 µs on a small heap, about
    1 µs more for each megabyte. While tracemalloc or another hook sits before the allocator it
    writes nothing, as if pymalloc were switched off; the allocator's blocks tell the two apart.
    """

    name = "pymalloc"

    def __init__(self, implementation: str = sys.implementation.name) -> None:
        self._implementation = implementation
        self._write_stats: Callable[[], bytes] | None = None

    def read(self) -> Allocator:
        """Return the object allocator's figures, in bytes."""
        if self._write_stats is None:
            if self._implementation != "cpython":
                raise SourceUnavailable(f"{self._implementation} does not use pymalloc")
            self._write_stats = _stats_writer()
        text = self._write_stats()
        if not text and sys.getallocatedblocks() > 0:
            raise SourceHidden("tracemalloc or another allocator hook hides pymalloc's statistics")
        return parse_allocator_stats(text)

    def close(self) -> None:
        """Hold nothing."""


def _stats_writer() -> Callable[[], bytes]:
    """Return a function that returns what the object allocator writes of itself.

    The stream in memory (POSIX.1-2008 `open_memstream`) lives as long as one call, so no thread and
    no forked child can see it half-written or closed; to keep it open would save 1 µs.
    """
    try:
        import ctypes  # noqa: PLC0415 - some builds of Python lack it

        c = ctypes.PyDLL(None)
        write_stats = ctypes.pythonapi._PyObject_DebugMallocStats  # noqa: SLF001 - no public one
        open_memstream, close, free = c.open_memstream, c.fclose, c.free
    except (ImportError, AttributeError, OSError, TypeError) as error:
        raise SourceUnavailable(f"allocator statistics cannot be read here: {error}") from error
    for function in (write_stats, close, free):
        function.argtypes = (ctypes.c_void_p,)
    open_memstream.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    open_memstream.restype = ctypes.c_void_p

    def allocator_stats() -> bytes:
        text, length = ctypes.c_void_p(), ctypes.c_size_t()
        stream = open_memstream(ctypes.byref(text), ctypes.byref(length))
        if not stream:
            raise OSError("a stream in memory cannot be opened")
        write_stats(stream)
        try:
            if close(stream) != 0:
                raise OSError("the statistics did not fit into memory")
            return ctypes.string_at(text, length.value) if text else b""
        finally:
            free(text)

    return allocator_stats


class GarbageCollectorProbe:
    """What the cyclic garbage collector has done, by generation; 0.8 µs while it does nothing."""

    name = "gc"

    def __init__(self) -> None:
        self._stats: list[dict[str, int]] | None = None
        self._generations: tuple[GcGeneration, ...] = ()

    def read(self) -> tuple[GcGeneration, ...]:
        """Return one entry a generation, youngest first."""
        get_stats = getattr(gc, "get_stats", None)
        if get_stats is None:
            raise SourceUnavailable("this Python's gc keeps no statistics")
        stats = get_stats()
        if stats != self._stats:
            try:
                self._generations = tuple(
                    GcGeneration(each["collections"], each["collected"], each["uncollectable"])
                    for each in stats
                )
            except (KeyError, TypeError) as error:  # PyPy's has another shape
                raise SourceUnavailable("this Python's gc keeps other statistics") from error
            self._stats = stats
        return self._generations

    def close(self) -> None:
        """Hold nothing."""
