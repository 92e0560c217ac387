from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import FakeClock, FakeProbe

from opentelemetry.instrumentation.memory._probes.base import SourceHidden
from opentelemetry.instrumentation.memory._sampling import metering
from opentelemetry.instrumentation.memory._sampling.metering import (
    DEAR_SECONDS,
    DROP_HIDDEN_AFTER_SECONDS,
    RETRY_AFTER_SECONDS,
    MeteredSource,
)
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARE = 0.0001


@pytest.fixture(autouse=True)
def nothing_warned_yet() -> Iterator[None]:
    before = set(metering._warned)
    metering._warned.clear()
    yield
    metering._warned.clear()
    metering._warned.update(before)


def source_of(
    clock: FakeClock, *answers: object, cost_seconds: float = 0.0, **options: float
) -> tuple[MeteredSource[object], FakeProbe[object]]:
    probe = FakeProbe(*answers, clock=clock, cost_seconds=cost_seconds)
    return MeteredSource(probe, clock, **options), probe


def read_each(
    source: MeteredSource[object], clock: FakeClock, seconds: float, every: float = 0.5
) -> list[object]:
    """Read the source every so often for a time, and return what it told."""
    told = []
    end = clock.now() + seconds
    while clock.now() < end:
        told.append(source.read(clock.now(), SHARE))
        clock.wait(every)
    return told


def test_cheap_source_is_read_each_time() -> None:
    clock = FakeClock()
    source, probe = source_of(clock, *range(1, 100), cost_seconds=1e-6)
    assert read_each(source, clock, seconds=5) == list(range(1, 11))
    assert probe.reads == 10


@given(
    cost_seconds=st.floats(1e-6, 1.0),
    share=st.floats(1e-5, 0.01),
    every=st.floats(0.05, 60),
)
def test_no_source_takes_a_larger_share_of_a_core_than_given(
    cost_seconds: float, share: float, every: float
) -> None:
    clock = FakeClock()
    source, probe = source_of(clock, 7, cost_seconds=cost_seconds)
    started = clock.now()
    for _ in range(200):
        source.read(clock.now(), share)
        clock.wait(every)
    # The last read pays with the rest after it.
    paid_reads = probe.reads - 1
    assert paid_reads * cost_seconds <= share * (clock.now() - started) * (1 + 1e-9)


def test_dear_source_of_a_parent_rests_first_in_the_child() -> None:
    clock = FakeClock()
    parent, _ = source_of(clock, 7, cost_seconds=0.01)
    parent.read(clock.now(), SHARE)
    clock.wait(99)  # its own rest is nearly over
    child, probe = source_of(clock, 8)
    child.rest_like(parent, clock.now())
    assert set(read_each(child, clock, seconds=100)) == {None}
    assert child.age_seconds(clock.now()) is None
    assert probe.reads == 0
    assert child.read(clock.now(), SHARE) == 8
    assert child.read(clock.now(), SHARE) == 8
    assert probe.reads == 2


def test_rest_of_a_child_is_inherited_by_its_own_child() -> None:
    clock = FakeClock()
    parent, _ = source_of(clock, 7, cost_seconds=0.01)
    parent.read(clock.now(), SHARE)
    child, _ = source_of(clock, 8)
    child.rest_like(parent, clock.now())
    grandchild, _ = source_of(clock, 9)
    grandchild.rest_like(child, clock.now())
    assert grandchild.read(clock.now() + 99, SHARE) is None
    assert grandchild.read(clock.now() + 101, SHARE) == 9


@pytest.mark.parametrize("cost_seconds", [0.0, 0.001, 0.9 * DEAR_SECONDS])
def test_cheaper_source_of_a_parent_is_read_at_once_in_the_child(cost_seconds: float) -> None:
    clock = FakeClock()
    parent, _ = source_of(clock, 7, cost_seconds=cost_seconds)
    parent.read(clock.now(), SHARE)
    child, _ = source_of(clock, 8)
    child.rest_like(parent, clock.now())
    assert child.read(clock.now(), SHARE) == 8


def test_source_that_its_parent_never_read_is_read_at_once_in_the_child() -> None:
    clock = FakeClock()
    parent, _ = source_of(clock, 7)
    child, _ = source_of(clock, 8)
    child.rest_like(parent, clock.now())
    assert child.read(clock.now(), SHARE) == 8


def test_larger_share_shortens_the_rest() -> None:
    clock = FakeClock()
    source, probe = source_of(clock, 7, cost_seconds=0.01)
    source.read(clock.now(), 0.0001)
    clock.wait(2)
    source.read(clock.now(), 0.0001)
    assert probe.reads == 1
    source.read(clock.now(), 0.01)
    assert probe.reads == 2


def test_resting_source_is_reused_and_tells_its_age() -> None:
    clock = FakeClock()
    source, probe = source_of(clock, "first", "second", cost_seconds=0.01)
    now = clock.now()
    assert source.age_seconds(now) is None
    source.read(now, SHARE)
    assert source.age_seconds(now) == 0
    assert source.read(now + 60, SHARE) == "first"
    assert source.age_seconds(now + 60) == 60
    assert source.read(now + 101, SHARE) == "second"
    assert source.age_seconds(now + 101) == 0
    assert probe.reads == 2


def test_source_that_becomes_cheap_again_is_read_each_time_again() -> None:
    clock = FakeClock()
    source, probe = source_of(clock, 7, cost_seconds=0.17)
    read_each(source, clock, seconds=60)
    assert probe.reads == 1
    probe.cost_seconds = 1e-6
    read_each(source, clock, seconds=1700)
    reads = probe.reads
    read_each(source, clock, seconds=5)
    assert probe.reads == reads + 10


@pytest.mark.parametrize("cost_seconds", [0.2, 0.4, 1.0])
def test_reading_is_told_however_long_its_source_rests(cost_seconds: float) -> None:
    # 0.4 s at 0.0075 % of a core, what mallinfo2 may cost at a million free chunks: 1.5 h of rest.
    clock = FakeClock()
    source, probe = source_of(clock, *range(1, 100), cost_seconds=cost_seconds)
    share = 0.000075
    started = clock.now()
    while clock.now() < started + 86_400:
        assert source.read(clock.now(), share) == probe.reads
        assert source.age_seconds(clock.now()) <= cost_seconds / share
        clock.wait(60)
    assert probe.reads > 5


def test_source_that_may_have_a_whole_core_is_not_timed() -> None:
    clock = FakeClock()
    source, probe = source_of(clock, 7, cost_seconds=1.0)
    for _ in range(3):
        source.read(clock.now(), 1.0)
    assert probe.reads == 3
    assert source.cost_seconds == 0


def test_waiting_for_others_makes_a_source_no_dearer() -> None:
    clock = FakeClock()
    source, probe = source_of(clock, 7)
    source.read(clock.now(), SHARE)
    clock.wait(10, process_cpu_seconds=10)  # while the read was waiting for the GIL, say
    source.read(clock.now(), SHARE)
    assert probe.reads == 2
    assert source.cost_seconds == 0


def test_minimum_rest_is_kept_by_a_cheap_source() -> None:
    clock = FakeClock()
    source, probe = source_of(clock, 7, minimum_rest_seconds=10)
    read_each(source, clock, seconds=30)
    assert probe.reads == 3


def test_source_that_is_not_outdated_is_not_read() -> None:
    clock = FakeClock()
    source, probe = source_of(clock, 7, 8)
    assert source.read(clock.now(), SHARE, is_outdated=False) == 7
    assert source.read(clock.now() + 1, SHARE, is_outdated=False) == 7
    assert source.read(clock.now() + 2, SHARE) == 8
    assert probe.reads == 2


def test_absent_source_is_warned_about_once_and_never_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    source, probe = source_of(clock, SourceUnavailable("no such thing here"))
    assert set(read_each(source, clock, seconds=7200, every=10)) == {None}
    assert probe.reads == 1
    again, _ = source_of(clock, SourceUnavailable("no such thing here"))
    again.read(clock.now(), SHARE)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "memory source fake is absent: no such thing here "
        "(`opentelemetry-memory doctor` shows all sources)"
    )


@pytest.mark.parametrize("error", [OSError("too many open files"), ValueError("zero pages")])
def test_failing_source_is_absent_until_it_is_tried_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    source, probe = source_of(clock, 7, error, error, 8)
    now = clock.now()
    assert source.read(now, SHARE) == 7
    assert source.read(now + 1, SHARE) is None
    assert source.read(now + RETRY_AFTER_SECONDS, SHARE) is None
    assert probe.reads == 2
    assert source.read(now + 1 + RETRY_AFTER_SECONDS, SHARE) is None
    assert source.read(now + 2 + 2 * RETRY_AFTER_SECONDS, SHARE) == 8
    assert source.read(now + 3 + 2 * RETRY_AFTER_SECONDS, SHARE) == 8
    assert probe.reads == 5
    assert len(caplog.records) == 1


def test_dear_failure_rests_in_proportion_too() -> None:
    clock = FakeClock()
    source, probe = source_of(clock, OSError("no"), cost_seconds=0.1)
    read_each(source, clock, seconds=990)
    assert probe.reads == 1


def test_hidden_source_is_reused_and_read_as_soon_as_it_shows_itself() -> None:
    clock = FakeClock()
    hidden = SourceHidden("tracemalloc")
    source, _ = source_of(clock, 7, hidden, hidden, 8)
    assert read_each(source, clock, seconds=2) == [7, 7, 7, 8]
    assert source.age_seconds(clock.now()) == 0.5


def test_source_that_stays_hidden_is_dropped_and_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    source, _ = source_of(clock, 7, SourceHidden("tracemalloc"))
    now = clock.now()
    source.read(now, SHARE)
    assert source.read(now + DROP_HIDDEN_AFTER_SECONDS, SHARE) == 7
    assert not caplog.records
    assert source.read(now + DROP_HIDDEN_AFTER_SECONDS + 1, SHARE) is None
    assert len(caplog.records) == 1


def test_source_hidden_from_the_start_is_tried_again() -> None:
    clock = FakeClock()
    source, _ = source_of(clock, SourceHidden("tracemalloc"), 8)
    assert source.read(clock.now(), SHARE) is None
    assert source.read(clock.now() + RETRY_AFTER_SECONDS, SHARE) == 8


def test_mistake_in_a_probe_is_not_hidden() -> None:
    clock = FakeClock()
    source, _ = source_of(clock, AttributeError("a mistake"))
    with pytest.raises(AttributeError):
        source.read(clock.now(), SHARE)
