from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.fakes import MIB, FakeClock, FakeProbe

from opentelemetry.instrumentation.memory._attribution import mappings as room
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._attribution.mappings import (
    MappingInquiry,
    Tally,
    growth,
)
from opentelemetry.instrumentation.memory._probes.base import Allocator
from opentelemetry.instrumentation.memory._probes.mappings import Mapping
from opentelemetry.instrumentation.memory.evidence import Findings, MappingGrowth, Skipped
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable
from opentelemetry.instrumentation.memory.model import MemorySample

if TYPE_CHECKING:
    from collections.abc import Generator

KIB = 1024
NO_OBJECTS = SourceUnavailable("no pymalloc")


def case(bytes_per_second: float = 0.0, **sample: Any) -> Case:
    return Case("other_anonymous", bytes_per_second, MemorySample(0.0, 1, **sample))


def anonymous(resident: int, size: int | None = None, place: int = 1) -> Mapping:
    start = place * 2**32 + MIB
    return Mapping(start, start + (size or resident), "rw-p", "", resident)


def heap(resident: int) -> Mapping:
    return Mapping(2**40, 2**40 + resident, "rw-p", "[heap]", resident)


def tally(mappings: list[Mapping], object_arena_bytes: int = 0) -> Tally:
    result = Tally(object_arena_bytes=object_arena_bytes)
    for mapping in (*mappings, None):
        result.add(mapping)
    return result


def test_kinds_that_grew_are_told_with_most_bytes_first() -> None:
    before = tally([anonymous(10 * MIB), heap(20 * MIB)])
    after = tally([anonymous(12 * MIB), heap(25 * MIB)])
    assert growth(before, after) == (
        MappingGrowth("malloc heap", 1, 1, 20 * MIB, 25 * MIB),
        MappingGrowth("anonymous", 1, 1, 10 * MIB, 12 * MIB),
    )


def test_kinds_that_kept_still_or_shrank_are_not_told() -> None:
    before = tally([anonymous(10 * MIB), heap(20 * MIB)])
    after = tally([anonymous(10 * MIB), heap(15 * MIB)])
    assert growth(before, after) == ()


def test_kind_that_was_not_there_before_is_told() -> None:
    new = MappingGrowth("malloc heap", 0, 1, 0, MIB)
    assert growth(tally([]), tally([heap(MIB)])) == (new,)


def test_more_mappings_of_one_size_are_told_apart() -> None:
    old = [anonymous(5 * MIB), anonymous(16 * MIB, place=2)]
    new = [anonymous(16 * MIB, place=place) for place in range(3, 34)]
    assert growth(tally(old), tally([*old, *new])) == (
        MappingGrowth("16 MiB anonymous", 1, 32, 16 * MIB, 512 * MIB),
    )


def test_two_more_of_one_size_are_not_told_apart() -> None:
    new = [anonymous(16 * MIB, place=place) for place in range(2)]
    assert growth(tally([]), tally(new)) == (MappingGrowth("anonymous", 0, 2, 0, 32 * MIB),)


def test_idle_threads_are_told_although_their_stacks_are_small() -> None:
    guard = Mapping(2**33, 2**33 + 4 * KIB, "---p", "", 0)
    stack = Mapping(guard.end, guard.end + 8 * MIB, "rw-p", "", 12 * KIB)
    told = growth(tally([]), tally([guard, stack]))
    assert told == (MappingGrowth("thread stack", 0, 1, 0, 12 * KIB),)


def test_object_arenas_are_taken_off_the_anonymous_mappings() -> None:
    before = tally([anonymous(30 * MIB)], object_arena_bytes=20 * MIB)
    after = tally([anonymous(50 * MIB)], object_arena_bytes=35 * MIB)
    assert growth(before, after) == (
        MappingGrowth("object arena", 20, 35, 20 * MIB, 35 * MIB),
        MappingGrowth("anonymous", 1, 1, 10 * MIB, 15 * MIB),
    )


def test_object_arenas_are_never_more_than_is_there() -> None:
    told = growth(tally([]), tally([anonymous(10 * MIB)], object_arena_bytes=99 * MIB))
    assert [(each.mapping, each.bytes_after) for each in told] == [("object arena", 10 * MIB)]


def test_at_most_ten_kinds_are_told() -> None:
    libraries = [Mapping(place, place + 1, "r--p", f"/lib{chr(97 + place)}.so", MIB)
                 for place in range(15)]  # fmt: skip
    assert len(growth(tally([]), tally(libraries))) == 10


def driven(inquiry: MappingInquiry, about: Case, clock: FakeClock) -> tuple[Findings, list[float]]:
    """Return what is found, and the rests that were asked for."""
    rests: list[float] = []

    def to_the_end() -> Generator[float, None, None]:
        found.append((yield from inquiry.gather(about)))

    found: list[Findings] = []
    for rest in to_the_end():
        rests.append(rest)
        clock.wait(rest)
    return found[0], rests


def looks(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> list[str]:
    """Let each look show the next answer; return which readers were used, as they are."""
    used: list[str] = []
    left = list(answers)

    def reader(name: str) -> Any:
        def read(*_: Any) -> Generator[list[Mapping], None, None]:
            used.append(name)
            answer = left.pop(0)
            if isinstance(answer, Exception):
                raise answer
            yield answer

        return read

    def residency(
        parts: Generator[list[Mapping], None, None], *_: Any
    ) -> Generator[list[Mapping], None, None]:
        yield from parts
        used.append("residency")

    monkeypatch.setattr(room, "read_mappings", reader("smaps"))
    monkeypatch.setattr(room, "read_addresses", reader("maps"))
    monkeypatch.setattr(room, "read_residency", residency)
    return used


def inquiry(clock: FakeClock, objects: Any = NO_OBJECTS) -> MappingInquiry:
    return MappingInquiry(clock, FakeProbe(objects))


def test_two_looks_tell_what_grew_and_in_which_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    looks(monkeypatch, [heap(MIB)], [heap(3 * MIB)])
    found, _ = driven(inquiry(clock), case(), clock)
    assert found == Findings(
        mappings=(MappingGrowth("malloc heap", 1, 1, MIB, 3 * MIB),), seconds=5.0
    )


@pytest.mark.parametrize(
    ("bytes_per_second", "seconds"), [(5 * MIB, 5.0), (MIB / 10, 40.0), (300.0, 300.0)]
)
def test_slower_growth_is_watched_for_longer(
    monkeypatch: pytest.MonkeyPatch, bytes_per_second: float, seconds: float
) -> None:
    clock = FakeClock()
    looks(monkeypatch, [heap(MIB)], [heap(MIB)])
    _, rests = driven(inquiry(clock), case(bytes_per_second), clock)
    assert max(rests) == seconds


def test_large_process_is_read_by_pagemap(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    used = looks(monkeypatch, [heap(MIB)], [heap(MIB)])
    driven(inquiry(clock), case(resident_bytes=5 * 2**30), clock)
    assert used == ["maps", "residency"] * 2


def test_object_arenas_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    looks(monkeypatch, [anonymous(9 * MIB)], [anonymous(9 * MIB)])
    probe = FakeProbe(Allocator(0, MIB), Allocator(0, 4 * MIB))
    found, _ = driven(MappingInquiry(clock, probe), case(), clock)
    assert [each.mapping for each in found.mappings] == ["object arena"]


def test_huge_object_heap_is_not_walked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    looks(monkeypatch, [heap(MIB)], [heap(MIB)])
    probe = FakeProbe(Allocator(0, MIB))
    driven(MappingInquiry(clock, probe), case(heap_committed_bytes=20 * 2**30), clock)
    assert probe.reads == 0


@pytest.mark.parametrize("answers", [(SourceUnavailable("no smaps"),), ([], OSError("no smaps"))])
def test_look_that_fails_is_skipped_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[Any, ...]
) -> None:
    clock = FakeClock()
    looks(monkeypatch, *answers)
    found, _ = driven(inquiry(clock), case(), clock)
    assert found == Findings(skipped=(Skipped("mappings", "no smaps"),))
