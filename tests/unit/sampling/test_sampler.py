from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import MIB, FakeClock, FakeProbe, fake_probes

from opentelemetry.instrumentation.memory._probes.base import Allocator, Limit, Resident
from opentelemetry.instrumentation.memory._sampling import metering
from opentelemetry.instrumentation.memory._sampling import sampler as sampler_module
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
from opentelemetry.instrumentation.memory.config import MemoryConfig
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable
from opentelemetry.instrumentation.memory.model import SEGMENTS, MemorySample

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._probes import Probes

CHEAP_COST_SECONDS = 1e-6
PATIENCE_SECONDS = 30.0


class GatedProbe(FakeProbe[Resident]):
    """A probe that tells when it is being read, and goes on when it may."""

    def __init__(self) -> None:
        super().__init__(Resident(100 * MIB, 400 * MIB, 10 * MIB), name="gated")
        self.is_reading = threading.Event()
        self.may_go_on = threading.Event()

    def read(self) -> Resident:
        self.is_reading.set()
        assert self.may_go_on.wait(PATIENCE_SECONDS)
        return super().read()


class WatchedLock:
    """A lock that counts those who want it, in `wanted`."""

    def __init__(self) -> None:
        self.wanted = threading.Semaphore(0)
        self._lock = threading.Lock()

    def acquire(self, timeout: float) -> bool:
        self.wanted.release()
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        self._lock.release()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def _every_warning_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "_warned", set())


def sampler(clock: FakeClock, probes: Probes | None = None, **options: Any) -> Sampler:
    return Sampler(MemoryConfig(**options), probes or fake_probes(), clock)


def taken(each: Sampler) -> MemorySample:
    sample = each.take()
    assert sample is not None
    return sample


def test_sample_has_one_timestamp_and_parts_that_add_up(clock: FakeClock) -> None:
    costly = FakeProbe(Allocator(30 * MIB, 32 * MIB), clock=clock, cost_seconds=0.25)
    sample = taken(sampler(clock, fake_probes(objects=costly)))
    assert sample.taken_at_seconds == 1000.0
    assert dict(sample.partition.present()) == {
        "python_heap": 30 * MIB,
        "native_heap": 40 * MIB,
        "retained": 6 * MIB,
        "other_anonymous": 14 * MIB,
        "file": 8 * MIB,
        "shared": 2 * MIB,
    }
    assert [segment for segment, _ in sample.partition.present()] == list(SEGMENTS)
    assert sum(size for _, size in sample.partition.present()) == sample.resident_bytes
    assert (sample.virtual_bytes, sample.external_bytes) == (400 * MIB, 54 * MIB)
    assert (sample.heap_used_bytes, sample.heap_committed_bytes) == (30 * MIB, 32 * MIB)


def test_published_sample_is_the_one_returned_and_kept(clock: FakeClock) -> None:
    each = sampler(clock)
    assert each.latest is None
    first = taken(each)
    clock.wait(1)
    second = taken(each)
    assert each.latest is second
    assert each.history.samples() == (first, second)


def test_status_is_read_only_when_mapped_bytes_have_moved(clock: FakeClock) -> None:
    same, more = Resident(100 * MIB, 0, 10 * MIB), Resident(120 * MIB, 0, 30 * MIB)
    shared = FakeProbe(2 * MIB, 20 * MIB)
    each = sampler(clock, fake_probes(resident=FakeProbe(same, same, more), shared=shared))
    for reads in (1, 1, 2, 2):
        sample = taken(each)
        clock.wait(10)
        assert shared.reads == reads
    assert sample.partition.shared_bytes == 20 * MIB
    assert sample.partition.file_bytes == 10 * MIB


def test_who_counts_is_called_before_any_source_is_read(clock: FakeClock) -> None:
    probes = fake_probes()
    each = sampler(clock, probes)
    reads: list[int] = []

    def note() -> None:
        reads.append(probes.objects.reads)  # type: ignore[attr-defined]

    each.before_reading = note
    taken(each)
    clock.wait(10)
    taken(each)
    assert reads == [0, 1]


def test_who_counts_is_told_the_sample_that_the_counts_belong_to(clock: FakeClock) -> None:
    each = sampler(clock, fake_probes())
    told: list[MemorySample] = []
    each.before_reading = lambda: told.append
    assert [taken(each)] == told


def test_a_counter_that_fails_stops_no_samples(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise KeyError

    each = sampler(clock, fake_probes())
    each.before_reading = fail
    first = taken(each)
    clock.wait(10)
    assert taken(each) is not first
    assert len(caplog.records) == 1


def test_dear_source_is_reused_with_its_age_and_the_parts_still_add_up(clock: FakeClock) -> None:
    # 30 ms at a quarter of 0.03 % of a core: every 400 s.
    native = FakeProbe(
        Allocator(40 * MIB, 44 * MIB),
        Allocator(20 * MIB, 44 * MIB),
        clock=clock,
        cost_seconds=0.03,
    )
    resident = FakeProbe(*(Resident(size * MIB, 0, 10 * MIB) for size in (100, 60, 60, 60)))
    each = sampler(clock, fake_probes(native=native, resident=resident))
    assert taken(each).native_heap_age_seconds == 0
    clock.wait(199.97)
    sample = taken(each)
    assert sample.native_heap_age_seconds == pytest.approx(200)
    assert native.reads == 1
    assert sample.resident_bytes == 60 * MIB
    assert sum(size for _, size in sample.partition.present()) == 60 * MIB
    assert min(size for _, size in sample.partition.present()) >= 0
    clock.wait(201)
    assert taken(each).native_heap_age_seconds == 0
    assert native.reads == 2


@pytest.mark.parametrize("source", ["shared", "objects", "native"])
def test_dear_source_is_absent_in_a_child_and_the_others_are_not(
    clock: FakeClock, source: str
) -> None:
    answer = getattr(fake_probes(), source).answers[0]
    dear = {source: FakeProbe(answer, clock=clock, cost_seconds=0.03)}
    parent = sampler(clock, fake_probes(**dear))
    taken(parent)
    probes = fake_probes()
    child = Sampler(MemoryConfig(), probes, clock, parent)
    sample = taken(child)
    told = {
        "shared": sample.partition.shared_bytes,
        "objects": sample.heap_used_bytes,
        "native": sample.partition.native_heap_bytes,
    }
    assert [name for name, value in told.items() if value is None] == [source]
    assert sum(size for _, size in sample.partition.present()) == sample.resident_bytes
    assert getattr(probes, source).reads == 0
    # 30 ms at a quarter of 0.03 % of a core: 400 s from the fork on.
    clock.wait(401)
    taken(child)
    assert getattr(probes, source).reads == 1


def test_dear_limit_is_handed_on_to_a_child_which_shares_it(clock: FakeClock) -> None:
    dear = FakeProbe(Limit(200 * MIB, "group", 150 * MIB), clock=clock, cost_seconds=0.03)
    parent = sampler(clock, fake_probes(limit=dear))
    taken(parent)
    limit = FakeProbe(Limit(300 * MIB, "group"))
    child = Sampler(MemoryConfig(), fake_probes(limit=limit), clock, parent)
    assert taken(child).headroom_bytes == 50 * MIB
    assert limit.reads == 0
    clock.wait(401)
    assert taken(child).headroom_bytes == 200 * MIB


def test_raised_risk_lets_a_dear_source_be_read_more_often(clock: FakeClock) -> None:
    native = FakeProbe(Allocator(40 * MIB, 44 * MIB), clock=clock, cost_seconds=0.01)
    each = sampler(clock, fake_probes(native=native))
    taken(each)
    clock.wait(10)
    taken(each)
    assert native.reads == 1
    each.risk = 0.9
    taken(each)
    assert native.reads == 2


def test_missing_source_is_absent_and_its_bytes_are_in_other_anonymous(clock: FakeClock) -> None:
    absent = FakeProbe[Allocator](SourceUnavailable("not here"))
    sample = taken(sampler(clock, fake_probes(objects=absent, native=absent)))
    assert sample.heap_used_bytes is None
    assert dict(sample.partition.present()) == {
        "other_anonymous": 90 * MIB,
        "file": 8 * MIB,
        "shared": 2 * MIB,
    }
    assert sample.python_heap_age_seconds is None


def test_platform_without_a_split_still_adds_up(clock: FakeClock) -> None:
    sample = taken(
        sampler(
            clock,
            fake_probes(
                resident=FakeProbe(Resident(100 * MIB, 400 * MIB, None)),
                shared=FakeProbe[int](SourceUnavailable("no /proc")),
            ),
        )
    )
    assert dict(sample.partition.present()) == {
        "python_heap": 30 * MIB,
        "native_heap": 40 * MIB,
        "retained": 6 * MIB,
        "other_anonymous": 24 * MIB,
    }


def test_unknown_resident_set_makes_a_sample_without_parts(clock: FakeClock) -> None:
    unknown = FakeProbe[Resident](ValueError("zeros"))
    sample = taken(sampler(clock, fake_probes(resident=unknown)))
    assert sample.resident_bytes is None
    assert sample.partition.present() == ()
    assert sample.external_bytes is None
    assert sample.limit_utilization is None
    assert sample.heap_used_bytes == 30 * MIB


def test_limit_is_read_again_every_minute_and_can_change(clock: FakeClock) -> None:
    limit = FakeProbe(Limit(200 * MIB, "a"), Limit(400 * MIB, "b"), None)
    each = sampler(clock, fake_probes(limit=limit))
    seen = []
    for _ in range(5):
        seen.append(taken(each).limit_utilization)
        clock.wait(30)
    assert seen == [0.5, 0.5, 0.25, 0.25, None]


def test_usage_of_all_that_share_the_limit_comes_with_it_and_utilization_is_own(
    clock: FakeClock,
) -> None:
    limit = FakeProbe(Limit(400 * MIB, "group", 390 * MIB), Limit(400 * MIB, "group", 300 * MIB))
    each = sampler(clock, fake_probes(limit=limit))
    seen = []
    for _ in range(3):
        sample = taken(each)
        seen.append((sample.limit_usage_bytes, sample.headroom_bytes, sample.limit_utilization))
        clock.wait(30)
    assert seen == [
        (390 * MIB, 10 * MIB, 0.25),
        (390 * MIB, 10 * MIB, 0.25),
        (300 * MIB, 100 * MIB, 0.25),
    ]
    assert limit.reads == 2


def test_virtual_size_counts_against_a_limit_of_the_address_space(clock: FakeClock) -> None:
    limit = FakeProbe(Limit(420 * MIB, "RLIMIT_AS", is_of_virtual_size=True))
    sample = taken(sampler(clock, fake_probes(limit=limit)))
    assert (sample.limit_usage_bytes, sample.headroom_bytes) == (400 * MIB, 20 * MIB)
    assert sample.limit_utilization == pytest.approx(100 / 420)
    blind = fake_probes(limit=limit, resident=FakeProbe[Resident](OSError("no")))
    sample = taken(sampler(clock, blind))
    assert (sample.limit_usage_bytes, sample.headroom_bytes) == (None, None)


def test_own_resident_set_alone_counts_against_the_setting(clock: FakeClock) -> None:
    limit = FakeProbe(Limit(160 * MIB, "setting limit_bytes"))
    sample = taken(sampler(clock, fake_probes(limit=limit)))
    assert (sample.limit_usage_bytes, sample.headroom_bytes) == (None, 60 * MIB)


sizes = st.none() | st.integers(0, 2**60)


@given(resident=sizes, limit=sizes, usage=sizes)
def test_headroom_is_what_the_larger_usage_leaves_and_never_negative(
    resident: int | None, limit: int | None, usage: int | None
) -> None:
    sample = MemorySample(
        0.0, 1, resident_bytes=resident, limit_bytes=limit, limit_usage_bytes=usage
    )
    headroom = sample.headroom_bytes
    if limit is None or (resident is None and usage is None):
        assert headroom is None
        return
    assert headroom is not None
    assert 0 <= headroom <= limit
    used = max(resident or 0, usage or 0)
    assert headroom == limit - used or (headroom == 0 and used >= limit)


def test_two_threads_at_once_get_one_sample(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler_module, "_TAKING_TIMEOUT_SECONDS", PATIENCE_SECONDS)
    gated = GatedProbe()
    each = sampler(clock, fake_probes(resident=gated))
    lock = WatchedLock()
    monkeypatch.setattr(each, "_taking", lock)
    got: list[MemorySample | None] = []
    threads = [threading.Thread(target=lambda: got.append(each.take())) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert lock.wanted.acquire(timeout=PATIENCE_SECONDS)
    gated.may_go_on.set()
    for thread in threads:
        thread.join()
    assert got == [each.latest, each.latest]
    assert len(each.history.samples()) == 1
    assert taken(each) is not got[0]


def test_sample_that_takes_too_long_is_not_waited_for(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler_module, "_TAKING_TIMEOUT_SECONDS", 0.01)
    gated = GatedProbe()
    each = sampler(clock, fake_probes(resident=gated))
    gated.may_go_on.set()
    first = taken(each)
    gated.may_go_on.clear()
    gated.is_reading.clear()
    clock.wait(1)
    stuck = threading.Thread(target=each.take)
    stuck.start()
    assert gated.is_reading.wait(PATIENCE_SECONDS)
    assert each.take() is first
    gated.may_go_on.set()
    stuck.join()
    assert each.latest is not first


@pytest.mark.parametrize("source", ["resident", "shared", "objects", "native", "gc", "limit"])
def test_probe_that_raises_what_nobody_expected_leaves_no_lock(
    clock: FakeClock, source: str
) -> None:
    good = getattr(fake_probes(), source).answers[0]
    each = sampler(clock, fake_probes(**{source: FakeProbe(RuntimeError("a bug"), good)}))
    with pytest.raises(RuntimeError, match="a bug"):
        each.take()
    clock.wait(1)
    assert taken(each).resident_bytes == 100 * MIB


@pytest.mark.parametrize("source", ["resident", "shared", "objects", "native", "gc", "limit"])
def test_source_that_fails_is_absent_warned_of_once_and_asked_again(
    clock: FakeClock, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = getattr(fake_probes(), source).answers[0]
    probe = FakeProbe(OSError("busy"), OSError("busy"), good, name=source)
    each = sampler(clock, fake_probes(**{source: probe}))
    for reads in (1, 2, 3):
        sample = taken(each)
        assert probe.reads == reads
        clock.wait(metering.RETRY_AFTER_SECONDS)
    assert sample.partition == taken(sampler(clock)).partition
    assert [record.message.split(":")[0] for record in caplog.records] == [
        f"memory source {source} is absent"
    ]


def test_close_gives_back_every_probe_and_no_sample_is_taken_afterwards(clock: FakeClock) -> None:
    probes = fake_probes()
    each = sampler(clock, probes)
    last = taken(each)
    each.close()
    each.close()
    clock.wait(1)
    assert each.take() is last
    assert all(
        getattr(probes, name).is_closed
        for name in ("resident", "shared", "objects", "native", "gc", "limit")
    )


@pytest.mark.parametrize("is_stuck", [False, True])
def test_close_never_closes_a_probe_under_its_reader(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, *, is_stuck: bool
) -> None:
    patience = 0.01 if is_stuck else PATIENCE_SECONDS
    monkeypatch.setattr(sampler_module, "_TAKING_TIMEOUT_SECONDS", patience)
    gated = GatedProbe()
    each = sampler(clock, fake_probes(resident=gated))
    lock = WatchedLock()
    monkeypatch.setattr(each, "_taking", lock)
    reading = threading.Thread(target=each.take)
    reading.start()
    assert lock.wanted.acquire(timeout=PATIENCE_SECONDS)
    assert gated.is_reading.wait(PATIENCE_SECONDS)
    closing = threading.Thread(target=each.close)
    closing.start()
    assert lock.wanted.acquire(timeout=PATIENCE_SECONDS)
    if is_stuck:
        closing.join()
    assert not gated.is_closed
    gated.may_go_on.set()
    reading.join()
    closing.join()
    assert gated.is_closed is not is_stuck


def interval(each: Sampler) -> float:
    return each.next_interval_seconds(CHEAP_COST_SECONDS)


def test_quiet_process_is_looked_at_ever_less_often(clock: FakeClock) -> None:
    each = sampler(clock)
    intervals = []
    for _ in range(6):
        taken(each)
        intervals.append(interval(each))
        clock.wait(intervals[-1])
    assert intervals == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def settled(clock: FakeClock, probes: Probes | None = None) -> Sampler:
    each = sampler(clock, probes)
    for _ in range(6):
        taken(each)
        clock.wait(interval(each))
    return each


def test_cpu_that_the_process_uses_shortens_the_interval(clock: FakeClock) -> None:
    each = settled(clock)
    clock.wait(0, process_cpu_seconds=8)
    taken(each)
    assert interval(each) == 0.5


def test_fast_change_shortens_the_interval(clock: FakeClock) -> None:
    resident = FakeProbe(Resident(100 * MIB, 0, 10 * MIB))
    each = settled(clock, fake_probes(resident=resident))
    resident.answers = [Resident(110 * MIB, 0, 10 * MIB)]
    taken(each)
    assert interval(each) == 0.5


def test_change_is_forgotten_when_the_resident_set_becomes_unknown(clock: FakeClock) -> None:
    resident = FakeProbe[Resident](Resident(100 * MIB, 0, 10 * MIB))
    each = settled(clock, fake_probes(resident=resident))
    resident.answers = [Resident(110 * MIB, 0, 10 * MIB), OSError("gone")]
    taken(each)
    assert interval(each) == 0.5
    clock.wait(1)
    taken(each)
    assert interval(each) == 1.0


def test_nearness_of_the_limit_shortens_the_interval(clock: FakeClock) -> None:
    each = settled(clock, fake_probes(limit=FakeProbe(Limit(104 * MIB, "setting"))))
    assert interval(each) == 0.5


def test_others_that_use_up_a_shared_limit_shorten_the_interval(clock: FakeClock) -> None:
    limit = Limit(16_384 * MIB, "group", 16_000 * MIB)
    assert interval(settled(clock, fake_probes(limit=FakeProbe(limit)))) == 0.5
    roomy = Limit(16_384 * MIB, "group", 8_000 * MIB)
    assert interval(settled(clock, fake_probes(limit=FakeProbe(roomy)))) == 10.0


def test_risk_shortens_the_interval(clock: FakeClock) -> None:
    each = settled(clock)
    each.risk = 0.5
    assert interval(each) == 0.5


def test_dear_sample_lengthens_the_interval(clock: FakeClock) -> None:
    each = settled(clock)
    each.risk = 0.49
    # Four fifths of 0.03 % of a core pay for one sample of 1.2 ms every 5 s.
    assert each.next_interval_seconds(0.0012) == pytest.approx(5.0)
