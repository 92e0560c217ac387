"""CPython's object allocator ("pymalloc", Objects/obmalloc.c) and garbage collector."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from typing import Any, Final

from opentelemetry.instrumentation.memory._probes.base import Allocator
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable
from opentelemetry.instrumentation.memory.model import GcGeneration

_USED: Final = re.compile(rb"^# bytes in allocated blocks\s*=\s*([\d,]+)\s*$", re.MULTILINE)
_ARENAS: Final = re.compile(rb"^(\d+) arenas \* (\d+) bytes/arena\s*=\s*([\d,]+)\s*$", re.MULTILINE)


def parse_allocator_stats(text: bytes) -> Allocator:
    """Return the object allocator's figures from the text of `sys._debugmallocstats`.

    Raises:
        SourceUnavailable: The text is empty (`PYTHONMALLOC=malloc`) or another allocator's.
        ValueError: It looks like pymalloc's, and the figures are missing or contradict each other.
    """
    if not text.strip():
        raise SourceUnavailable(
            "the object allocator is off (PYTHONMALLOC=malloc); small objects are in native_heap"
        )
    used = _USED.search(text)
    arenas = _ARENAS.search(text)
    if used is None and arenas is None:
        raise SourceUnavailable(
            "the object allocator is not pymalloc (mimalloc, or a free-threaded build); "
            "its bytes are in other_anonymous"
        )
    if used is None or arenas is None:
        raise ValueError("allocator statistics are incomplete")
    used_bytes, committed_bytes = _number(used[1]), int(arenas[1]) * int(arenas[2])
    if used_bytes > committed_bytes:
        raise ValueError(f"allocator statistics: {used_bytes} used of {committed_bytes} bytes")
    return Allocator(used_bytes, committed_bytes)


def _number(text: bytes) -> int:
    return int(text.replace(b",", b""))


class ObjectAllocatorProbe:
    """Live and obtained bytes of pymalloc, of the calling interpreter.

    `_PyObject_DebugMallocStats` walks every pool with the GIL held: 11 µs on a small heap, about
    1 µs more for each megabyte. Its text goes to a stream in memory that is made once; every call
    keeps the GIL, so no other thread sees the stream half-written and none is lost in a fork.
    """

    name = "pymalloc"

    def __init__(self, implementation: str = sys.implementation.name) -> None:
        self._implementation = implementation
        self._stream: _MemoryStream | None = None

    def read(self) -> Allocator:
        """Return the object allocator's figures, in bytes."""
        if self._stream is None:
            if self._implementation != "cpython":
                raise SourceUnavailable(f"{self._implementation} does not use pymalloc")
            self._stream = _MemoryStream()
        return parse_allocator_stats(self._stream.allocator_stats())

    def close(self) -> None:
        """Free the stream."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class _MemoryStream:
    """A C stream into memory (POSIX.1-2008 `open_memstream`)."""

    def __init__(self) -> None:
        try:
            python = ctypes.pythonapi
            self._write_stats: Any = python._PyObject_DebugMallocStats  # noqa: SLF001 - no public one
            c = ctypes.PyDLL(None)
            self._rewind, self._flush, self._close = c.rewind, c.fflush, c.fclose
            open_memstream = c.open_memstream
        except (AttributeError, OSError, TypeError) as error:
            raise SourceUnavailable(f"allocator statistics cannot be read here: {error}") from error
        for function in (self._write_stats, self._rewind, self._flush, self._close):
            function.argtypes = (ctypes.c_void_p,)
        open_memstream.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        open_memstream.restype = ctypes.c_void_p
        self._text = ctypes.c_void_p()
        self._length = ctypes.c_size_t()
        self._file = open_memstream(ctypes.byref(self._text), ctypes.byref(self._length))
        if not self._file:
            raise OSError("open_memstream failed")

    def allocator_stats(self) -> bytes:
        """Return what the allocator writes of itself."""
        self._rewind(self._file)
        self._write_stats(self._file)
        if self._flush(self._file) != 0 or not self._text.value:
            raise OSError("the statistics did not fit into memory")
        return ctypes.string_at(self._text.value, self._length.value)

    def close(self) -> None:
        """Close the stream and free its buffer."""
        self._close(self._file)
        free = ctypes.PyDLL(None).free
        free.argtypes = (ctypes.c_void_p,)
        free(self._text)


class GarbageCollectorProbe:
    """What the cyclic garbage collector has done, by generation; 0.5 µs."""

    name = "gc"

    def read(self) -> tuple[GcGeneration, ...]:
        """Return one entry a generation, youngest first."""
        get_stats = getattr(gc, "get_stats", None)
        if get_stats is None:
            raise SourceUnavailable("this Python's gc keeps no statistics")
        try:
            return tuple(
                GcGeneration(each["collections"], each["collected"], each["uncollectable"])
                for each in get_stats()
            )
        except (KeyError, TypeError) as error:  # PyPy's has another shape
            raise SourceUnavailable("this Python's gc keeps other statistics") from error

    def close(self) -> None:
        """Hold nothing."""
