"""The C heap: glibc's by mallinfo2, jemalloc's by mallctl.

glibc manual, "Statistics for Memory Allocation"; jemalloc(3), `stats.*`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._probes.base import Allocator
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory._probes.base import Probe

# A symbol that only this allocator exports. Where one of them replaces malloc, glibc's own
# figures stay near zero and would be a lie.
_JEMALLOC: Final = "mallctl"
_REPLACEMENTS: Final = (
    ("jemalloc", _JEMALLOC),
    ("mimalloc", "mi_version"),
    ("tcmalloc", "MallocExtension_ReleaseFreeMemory"),
)
_MALLINFO2_FIELDS: Final = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd",
    "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip


def malloc_probe(library: Any = None) -> Probe[Allocator]:
    """Return the probe for the malloc of this process: jemalloc's where that replaces it.

    Args:
        library: Where to look for symbols; the whole program if None.
    """
    try:
        has_jemalloc = _has(_program(library), _JEMALLOC)
    except SourceUnavailable:
        has_jemalloc = False
    return JemallocProbe(library) if has_jemalloc else MallocProbe(library)


class MallocProbe:
    """Live and obtained bytes of malloc, summed over all its arenas.

    CPython's object allocator maps its arenas directly, so they are not in it. The cost grows with
    the number of free chunks: under 1 µs on a clean heap, 170 ms at a million. Each malloc arena is
    locked meanwhile; the interpreter is not, since ctypes releases the GIL for a CDLL.
    """

    name = "mallinfo2"

    def __init__(self, library: Any = None) -> None:
        self._library = library
        self._mallinfo2: Callable[[], Any] | None = None

    def read(self) -> Allocator:
        """Return malloc's figures, in bytes."""
        if self._mallinfo2 is None:
            self._mallinfo2 = _find_mallinfo2(self._library)
        heap = self._mallinfo2()
        mapped_bytes = heap.hblkhd
        committed_bytes = heap.arena + mapped_bytes
        if committed_bytes == 0:
            # No Python starts without malloc: it is another one that serves it (a sanitizer's, or
            # an allocator that is linked in).
            raise SourceUnavailable(
                "mallinfo2 knows of no memory, so something replaces malloc; "
                "its bytes are in other_anonymous"
            )
        return Allocator(heap.uordblks + mapped_bytes, committed_bytes)

    def close(self) -> None:
        """Hold nothing."""


class JemallocProbe:
    """Live bytes of jemalloc, and what is resident to serve them, its own bookkeeping included.

    `stats.resident` stands for what is obtained, since jemalloc keeps address space that it has
    given back. Costs about 10 µs whatever the heap; ctypes releases the GIL meanwhile.
    """

    name = "jemalloc"

    def __init__(self, library: Any = None) -> None:
        self._library = library
        self._statistic: Callable[[bytes], int] | None = None

    def read(self) -> Allocator:
        """Return jemalloc's figures, in bytes."""
        if self._statistic is None:
            self._statistic = _find_mallctl(self._library)
        self._statistic(b"epoch")  # takes all statistics anew
        return Allocator(self._statistic(b"stats.allocated"), self._statistic(b"stats.resident"))

    def close(self) -> None:
        """Hold nothing."""


def _find_mallinfo2(library: Any) -> Callable[[], Any]:
    library = _program(library)
    for allocator, symbol in _REPLACEMENTS:
        if _has(library, symbol):
            raise SourceUnavailable(
                f"{allocator} replaces malloc; its bytes are in other_anonymous"
            )
    if not _has(library, "mallinfo2"):
        raise SourceUnavailable("the C library has no mallinfo2 (glibc 2.33 or newer has it)")
    import ctypes  # noqa: PLC0415 - the program was opened with it

    fields = [(name, ctypes.c_size_t) for name in _MALLINFO2_FIELDS]
    mallinfo2: Callable[[], Any] = library.mallinfo2
    mallinfo2.argtypes = ()  # type: ignore[attr-defined]
    mallinfo2.restype = type("MallInfo2", (ctypes.Structure,), {"_fields_": fields})  # type: ignore[attr-defined]
    return mallinfo2


def _find_mallctl(library: Any) -> Callable[[bytes], int]:
    library = _program(library)
    if not _has(library, _JEMALLOC):
        raise SourceUnavailable("jemalloc is not there")
    import ctypes  # noqa: PLC0415 - the program was opened with it

    mallctl = library.mallctl
    mallctl.argtypes = (ctypes.c_char_p, *(ctypes.c_void_p,) * 3, ctypes.c_size_t)
    mallctl.restype = ctypes.c_int

    def statistic(name: bytes) -> int:
        is_epoch = name == b"epoch"
        value = ctypes.c_uint64(1) if is_epoch else ctypes.c_size_t()
        length = ctypes.c_size_t(ctypes.sizeof(value))
        place = ctypes.byref(value)
        new, new_length = (place, length.value) if is_epoch else (None, 0)
        if mallctl(name, place, ctypes.byref(length), new, new_length) != 0:
            raise SourceUnavailable(f"jemalloc has no {name.decode()} (built without statistics)")
        return value.value

    return statistic


def _program(library: Any) -> Any:
    if library is not None:
        return library
    try:
        import ctypes  # noqa: PLC0415 - some builds of Python lack it

        return ctypes.CDLL(None)
    except (ImportError, OSError, TypeError) as error:  # Windows has no "whole program"
        raise SourceUnavailable(f"the C library cannot be opened: {error}") from error


def _has(library: Any, symbol: str) -> bool:
    try:
        getattr(library, symbol)
    except AttributeError:
        return False
    return True
