from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.fakes import MIB, FakeClock, FakeProbe

from opentelemetry.instrumentation.memory._attribution import allocator as room
from opentelemetry.instrumentation.memory._attribution.allocator import (
    AllocatorInquiry,
    allocator_state,
)
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._probes.arenas import Arena
from opentelemetry.instrumentation.memory._probes.base import Allocator
from opentelemetry.instrumentation.memory._probes.mappings import Mapping
from opentelemetry.instrumentation.memory.evidence import AllocatorState, Findings, Skipped
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable
from opentelemetry.instrumentation.memory.model import MemorySample

if TYPE_CHECKING:
    from collections.abc import Generator

SAMPLE = MemorySample(0.0, 1, heap_used_bytes=30 * MIB, heap_committed_bytes=37 * MIB)
CASE = Case("retained", 0.0, SAMPLE)


def arena(free_mib: int, *, top_mib: int = 0, is_main: bool = False) -> Arena:
    return Arena(is_main, 64 * MIB, free_mib * MIB, top_mib * MIB)


MAIN = arena(40, top_mib=30, is_main=True)


@pytest.fixture(autouse=True)
def _heap_is_resident(monkeypatch: pytest.MonkeyPatch) -> None:
    heap = Mapping(0, 64 * MIB, "rw-p", "[heap]", 64 * MIB)

    def mappings(*_: Any) -> Generator[list[Mapping], None, None]:
        yield [heap]

    def residency(parts: list[list[Mapping]], *_: Any) -> Generator[list[Mapping], None, None]:
        yield from parts

    monkeypatch.setattr(room, "read_addresses", mappings)
    monkeypatch.setattr(room, "read_residency", residency)
    monkeypatch.setattr(room, "thread_count", lambda: 12)


def found_by(inquiry: AllocatorInquiry) -> Findings:
    def to_the_end() -> Generator[float, None, None]:
        found.append((yield from inquiry.gather(CASE)))

    found: list[Findings] = []
    for rest in to_the_end():
        assert rest == 0.0
    return found[0]


def glibc(cost_seconds: float = 0.0, clock: FakeClock | None = None) -> FakeProbe[Allocator]:
    figures = Allocator(20 * MIB, 60 * MIB)
    return FakeProbe(figures, name="mallinfo2", clock=clock, cost_seconds=cost_seconds)


def test_state_is_told_arena_by_arena() -> None:
    inquiry = AllocatorInquiry(FakeClock(), lambda: 0.001, glibc(), FakeProbe((MAIN,)))
    assert found_by(inquiry) == Findings(
        allocator=AllocatorState(
            arenas=1,
            threads=12,
            free_bytes=40 * MIB,
            trimmable_bytes=30 * MIB - 4096,
            object_arenas_free_bytes=7 * MIB,
            spare_arenas_free_bytes=0,
            top_bytes=30 * MIB,
            given_back_bytes=0,
        )
    )


def test_spare_arenas_are_all_but_the_two_with_most_that_is_free() -> None:
    arenas = [MAIN, arena(10), arena(30), arena(5)]
    state = allocator_state(arenas, 12, 85 * MIB, 0, None)
    assert state.spare_arenas_free_bytes == 15 * MIB


def test_what_was_given_back_before_cannot_be_given_back_again() -> None:
    state = allocator_state([MAIN], 1, 40 * MIB, 20 * MIB, None)
    assert state.trimmable_bytes == 10 * MIB - 4096


def test_less_than_nothing_cannot_be_given_back() -> None:
    assert allocator_state([MAIN], 1, 40 * MIB, 50 * MIB, None).trimmable_bytes == 0


def test_malloc_that_was_dear_to_the_sampler_is_not_asked() -> None:
    malloc, arenas = glibc(), FakeProbe((MAIN,))
    found = found_by(AllocatorInquiry(FakeClock(), lambda: 0.170, malloc, arenas))
    why = "malloc has so many free chunks that counting them takes 170 ms, with its arenas locked"
    assert found.skipped == (Skipped("allocator", why),)
    assert (malloc.reads, arenas.reads) == (0, 0)


def test_malloc_that_is_dear_here_is_asked_no_further() -> None:
    clock = FakeClock()
    arenas = FakeProbe((MAIN,))
    found = found_by(
        AllocatorInquiry(clock, malloc=glibc(cost_seconds=0.1, clock=clock), arenas=arenas)
    )
    assert arenas.reads == 0
    assert found.allocator == AllocatorState(None, 12, 40 * MIB, None, 7 * MIB)


def test_another_malloc_has_no_arenas_and_is_no_failure() -> None:
    jemalloc = FakeProbe(Allocator(20 * MIB, 60 * MIB), name="jemalloc")
    found = found_by(AllocatorInquiry(FakeClock(), malloc=jemalloc, arenas=FakeProbe((MAIN,))))
    assert found == Findings(allocator=AllocatorState(None, 12, 40 * MIB, None, 7 * MIB))


def test_platform_without_malloc_figures_still_tells_the_rest() -> None:
    malloc = FakeProbe[Allocator](SourceUnavailable("no mallinfo2"), name="mallinfo2")
    found = found_by(AllocatorInquiry(FakeClock(), malloc=malloc, arenas=FakeProbe((MAIN,))))
    assert found == Findings(
        allocator=AllocatorState(None, 12, None, None, 7 * MIB),
        skipped=(Skipped("allocator", "no mallinfo2"),),
    )


def test_residency_that_nobody_tells_leaves_the_estimate_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> Generator[None, None, None]:
        raise SourceUnavailable("no pagemap")
        yield

    monkeypatch.setattr(room, "read_residency", refuse)
    state = found_by(
        AllocatorInquiry(FakeClock(), lambda: 0.0, glibc(), FakeProbe((MAIN,)))
    ).allocator
    assert state is not None
    assert (state.given_back_bytes, state.trimmable_bytes) == (None, 30 * MIB - 4096)
