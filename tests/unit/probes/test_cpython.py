from __future__ import annotations

import gc
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import MIB

from opentelemetry.instrumentation.memory._probes import cpython
from opentelemetry.instrumentation.memory._probes.base import Allocator, SourceHidden
from opentelemetry.instrumentation.memory._probes.cpython import (
    GarbageCollectorProbe,
    ObjectAllocatorProbe,
    parse_allocator_stats,
)
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

RECORDED = Path(__file__).parents[2] / "data/allocator_stats"

needs_pymalloc = pytest.mark.skipif(
    not hasattr(sys, "getallocatedblocks") or sys.getallocatedblocks() == 0,
    reason="this Python runs without pymalloc",
)


@pytest.mark.parametrize(
    ("name", "used_bytes", "arenas"),
    [
        ("3.10-pymalloc", 1_517_472, 2),
        ("3.10-debug", 1_908_048, 3),
        ("3.11-pymalloc", 3_612_960, 4),
        ("3.11-debug", 4_439_008, 5),
        ("3.12-pymalloc", 962_784, 2),
        ("3.12-debug", 1_230_480, 2),
        ("3.13-pymalloc", 1_518_016, 2),
        ("3.13-debug", 1_915_648, 3),
    ],
)
def test_recorded_statistics_of_pymalloc_are_read(name: str, used_bytes: int, arenas: int) -> None:
    text = (RECORDED / f"{name}.txt").read_bytes()
    assert parse_allocator_stats(text) == Allocator(used_bytes, arenas * MIB)


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_switched_off_allocator_is_an_absent_source(version: str) -> None:
    text = (RECORDED / f"{version}-malloc.txt").read_bytes()
    with pytest.raises(SourceUnavailable, match="PYTHONMALLOC=malloc"):
        parse_allocator_stats(text)


def test_mimalloc_is_an_absent_source() -> None:
    text = (RECORDED / "3.13-mimalloc.txt").read_bytes()
    with pytest.raises(SourceUnavailable, match="free-threaded"):
        parse_allocator_stats(text)


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        (b"# bytes in allocated blocks        =            1,518,016", b""),
        (b"2 arenas * 1048576 bytes/arena     =            2,097,152", b""),
        (b"2 arenas *", b"1 arenas *"),
    ],
)
def test_incomplete_or_contradictory_statistics_are_an_error(line: bytes, instead: bytes) -> None:
    text = (RECORDED / "3.13-pymalloc.txt").read_bytes()
    assert line in text
    with pytest.raises(ValueError, match="allocator statistics"):
        parse_allocator_stats(text.replace(line, instead))


lines = st.lists(
    st.sampled_from(
        [
            b"# arenas allocated current         =                    2\n",
            b"# bytes in allocated blocks        =            1,354,960\n",
            b"# bytes in allocated blocks = ,\n",
            b"2 arenas * 1048576 bytes/arena     =            2,097,152\n",
            b"0 arenas * 0 bytes/arena = 0\n",
            b"Small block threshold = 512, in 32 size classes.\n",
        ]
    )
    | st.binary(max_size=40)
)


@given(lines.map(b"".join))
def test_any_statistics_are_figures_or_a_documented_error(text: bytes) -> None:
    try:
        allocator = parse_allocator_stats(text)
    except (SourceUnavailable, ValueError):
        return
    assert 0 <= allocator.used_bytes <= allocator.committed_bytes


@given(st.integers(1, 2**20), st.sampled_from([2**18, 2**20]), st.data())
def test_written_statistics_are_read_back(
    arenas: int, arena_bytes: int, draw: st.DataObject
) -> None:
    committed = arenas * arena_bytes
    used = draw.draw(st.integers(0, committed))
    text = (
        f"# arenas allocated current         = {arenas:20,}\n"
        f"{f'{arenas} arenas * {arena_bytes} bytes/arena':<35}={committed:21,}\n\n"
        f"# bytes in allocated blocks        ={used:21,}\n"
        f"# bytes in available blocks        ={0:21,}\n"
    )
    assert parse_allocator_stats(text.encode()) == Allocator(used, committed)


@needs_pymalloc
def test_live_objects_are_counted_and_freed_ones_are_not() -> None:
    probe = ObjectAllocatorProbe()
    gc.collect()
    before = probe.read().used_bytes
    held = [float(number) for number in range(500_000)]
    grown = probe.read().used_bytes - before
    del held
    gc.collect()
    left = probe.read().used_bytes - before
    assert grown == pytest.approx(500_000 * 32, rel=0.03)
    assert abs(left) < 0.03 * 500_000 * 32


@needs_pymalloc
def test_running_tracemalloc_hides_the_allocator_and_no_longer_than_it_runs() -> None:
    probe = ObjectAllocatorProbe()
    probe.read()
    tracemalloc.start()
    try:
        with pytest.raises(SourceHidden, match="tracemalloc"):
            probe.read()
    finally:
        tracemalloc.stop()
    assert probe.read().used_bytes > 0


@pytest.mark.parametrize(
    ("allocator", "expected"),
    [
        ("pymalloc", "Allocator"),
        ("pymalloc_debug", "Allocator"),
        ("debug", "Allocator"),
        ("malloc", "SourceUnavailable"),
        ("malloc_debug", "SourceUnavailable"),
    ],
)
def test_real_allocator_is_read_or_absent(allocator: str, expected: str) -> None:
    script = (
        "from opentelemetry.instrumentation.memory._probes.cpython import ObjectAllocatorProbe\n"
        "try: print(type(ObjectAllocatorProbe().read()).__name__)\n"
        "except Exception as error: print(type(error).__name__)"
    )
    child = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONMALLOC": allocator},
        capture_output=True,
        check=True,
        text=True,
    )
    assert child.stdout.strip() == expected


def test_other_implementations_have_no_pymalloc() -> None:
    with pytest.raises(SourceUnavailable, match="pypy does not use pymalloc"):
        ObjectAllocatorProbe("pypy").read()


def test_python_without_ctypes_has_no_allocator_statistics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    with pytest.raises(SourceUnavailable, match="cannot be read here"):
        ObjectAllocatorProbe().read()


def test_many_reads_leave_no_memory_behind() -> None:
    probe = ObjectAllocatorProbe()
    statm = Path("/proc/self/statm")
    for _ in range(100):
        probe.read()
    before = int(statm.read_text().split()[1])
    for _ in range(5000):
        probe.read()
    # Each read writes 3 kB: lost ones would be 15 MB.
    assert int(statm.read_text().split()[1]) - before < 1000


def test_collector_counts_each_generation() -> None:
    before = GarbageCollectorProbe().read()
    gc.collect()
    after = GarbageCollectorProbe().read()
    assert len(after) == len(gc.get_stats())
    assert after[-1].collections == before[-1].collections + 1


def test_collector_that_did_nothing_tells_the_same_and_one_that_did_tells_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    probe = GarbageCollectorProbe()
    told = []
    for collections in (1, 1, 2):
        generation = {"collections": collections, "collected": 5, "uncollectable": 0}
        monkeypatch.setattr(cpython.gc, "get_stats", lambda one=generation: [one])
        told.append(probe.read())
    assert [generations[0].collections for generations in told] == [1, 1, 2]
    assert told[0] is told[1]


@pytest.mark.parametrize("statistics", [object, lambda: [{"collections": 1}]])
def test_collector_of_another_shape_is_an_absent_source(
    monkeypatch: pytest.MonkeyPatch, statistics: object
) -> None:
    # PyPy's gc.get_stats returns an object of its own.
    monkeypatch.setattr(cpython.gc, "get_stats", statistics)
    with pytest.raises(SourceUnavailable):
        GarbageCollectorProbe().read()
    monkeypatch.delattr(cpython.gc, "get_stats")
    with pytest.raises(SourceUnavailable):
        GarbageCollectorProbe().read()
