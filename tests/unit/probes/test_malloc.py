from __future__ import annotations

import ctypes
import sys
from typing import Any

import pytest
from tests.fakes import MIB

from opentelemetry.instrumentation.memory._probes.base import Allocator
from opentelemetry.instrumentation.memory._probes.malloc import (
    JemallocProbe,
    MallocProbe,
    malloc_probe,
)
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable


class Function:
    """A function of a C library: it may be told its types, and is called."""

    def __init__(self, call: Any) -> None:
        self.call = call

    def __call__(self, *arguments: Any) -> Any:
        return self.call(self, *arguments)


class Library:
    """A C library with the symbols given."""

    def __init__(self, **symbols: Any) -> None:
        self.__dict__.update({name: Function(call) for name, call in symbols.items()})


def mallinfo2(**figures: int) -> Any:
    return lambda function: function.restype(**figures)


def mallctl(figures: dict[bytes, int]) -> Any:
    def call(_: Function, name: bytes, place: Any, *__: Any) -> int:
        if name not in figures:
            return 2  # ENOENT
        place._obj.value = figures[name]
        return 0

    return call


GLIBC = mallinfo2(arena=50 * MIB, hblkhd=8 * MIB, uordblks=30 * MIB, fordblks=20 * MIB)


def test_mapped_blocks_count_as_used_and_as_obtained() -> None:
    probe = malloc_probe(Library(mallinfo2=GLIBC))
    assert probe.name == "mallinfo2"
    assert probe.read() == Allocator(38 * MIB, 58 * MIB)


def test_more_than_four_gigabytes_are_read_in_full() -> None:
    library = Library(mallinfo2=mallinfo2(arena=2**36, hblkhd=2**35, uordblks=2**34))
    assert MallocProbe(library).read() == Allocator(2**34 + 2**35, 2**36 + 2**35)


def test_library_without_mallinfo2_is_an_absent_source() -> None:
    with pytest.raises(SourceUnavailable, match=r"glibc 2\.33"):
        malloc_probe(Library()).read()


@pytest.mark.parametrize(
    ("allocator", "symbol"),
    [("mimalloc", "mi_version"), ("tcmalloc", "MallocExtension_ReleaseFreeMemory")],
)
def test_replaced_malloc_is_an_absent_source(allocator: str, symbol: str) -> None:
    library = Library(mallinfo2=GLIBC, **{symbol: lambda _: 0})
    with pytest.raises(SourceUnavailable, match=f"{allocator} replaces malloc"):
        malloc_probe(library).read()


def test_malloc_that_never_gave_a_byte_is_an_absent_source() -> None:
    with pytest.raises(SourceUnavailable, match="something replaces malloc"):
        malloc_probe(Library(mallinfo2=mallinfo2())).read()


def test_jemalloc_is_read_where_it_replaces_malloc() -> None:
    figures = {b"epoch": 7, b"stats.allocated": 40 * MIB, b"stats.resident": 44 * MIB}
    probe = malloc_probe(Library(mallinfo2=mallinfo2(), mallctl=mallctl(figures)))
    assert probe.name == "jemalloc"
    assert probe.read() == Allocator(40 * MIB, 44 * MIB)


def test_jemalloc_without_statistics_is_an_absent_source() -> None:
    probe = malloc_probe(Library(mallctl=mallctl({b"epoch": 1})))
    with pytest.raises(SourceUnavailable, match=r"jemalloc has no stats\.allocated"):
        probe.read()


def test_library_without_jemalloc_has_no_jemalloc_figures() -> None:
    with pytest.raises(SourceUnavailable, match="jemalloc is not there"):
        JemallocProbe(Library()).read()


def test_python_without_ctypes_has_no_malloc_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    with pytest.raises(SourceUnavailable, match="C library cannot be opened"):
        malloc_probe().read()


def test_system_without_a_whole_program_has_no_malloc_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: object) -> None:
        raise TypeError("argument of type 'NoneType' is not iterable")  # as on Windows

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.raises(SourceUnavailable, match="C library cannot be opened"):
        malloc_probe().read()


def test_live_blocks_are_counted_and_freed_ones_are_not() -> None:
    probe = malloc_probe()
    try:
        before = probe.read().used_bytes
    except SourceUnavailable:
        return  # musl, or another malloc: what is told then is tested above
    held = bytearray(64 * MIB)
    grown = probe.read().used_bytes - before
    del held
    left = probe.read().used_bytes - before
    assert grown == pytest.approx(64 * MIB, rel=0.03)
    assert abs(left) < 2 * MIB
