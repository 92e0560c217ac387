"""The C heap, as glibc's mallinfo2 tells it (glibc manual, "Statistics for Memory Allocation")."""

from __future__ import annotations

import ctypes
from typing import Any, Final

from opentelemetry.instrumentation.memory._probes.base import Allocator
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

# A symbol that only this allocator exports. Where one of them replaces malloc, glibc's own
# figures stay near zero and would be a lie.
_REPLACEMENTS: Final = (
    ("jemalloc", "mallctl"),
    ("mimalloc", "mi_version"),
    ("tcmalloc", "MallocExtension_ReleaseFreeMemory"),
)


class _MallInfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


class MallocProbe:
    """Live and obtained bytes of malloc, summed over all its arenas.

    CPython's object allocator maps its arenas directly, so they are not in it. The cost grows with
    the number of free chunks: under 1 µs on a clean heap, 170 ms at a million. Each malloc arena is
    locked meanwhile; the interpreter is not, since ctypes releases the GIL for a CDLL.
    """

    name = "mallinfo2"

    def __init__(self, library: Any = None) -> None:
        self._library = library
        self._mallinfo2: Any = None

    def read(self) -> Allocator:
        """Return malloc's figures, in bytes."""
        if self._mallinfo2 is None:
            self._mallinfo2 = _find_mallinfo2(self._library)
        heap = self._mallinfo2()
        return Allocator(
            used_bytes=heap.uordblks + heap.hblkhd, committed_bytes=heap.arena + heap.hblkhd
        )

    def close(self) -> None:
        """Hold nothing."""


def _find_mallinfo2(library: Any) -> Any:
    if library is None:
        try:
            library = ctypes.CDLL(None)
        except (OSError, TypeError) as error:  # TypeError: Windows has no "whole program"
            raise SourceUnavailable(f"the C library cannot be opened: {error}") from error
    for allocator, symbol in _REPLACEMENTS:
        if _has(library, symbol):
            raise SourceUnavailable(
                f"{allocator} replaces malloc; its bytes are in other_anonymous"
            )
    if not _has(library, "mallinfo2"):
        raise SourceUnavailable("the C library has no mallinfo2 (glibc 2.33 or newer has it)")
    mallinfo2 = library.mallinfo2
    mallinfo2.argtypes = ()
    mallinfo2.restype = _MallInfo2
    return mallinfo2


def _has(library: Any, symbol: str) -> bool:
    try:
        getattr(library, symbol)
    except AttributeError:
        return False
    return True
