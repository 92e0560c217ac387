from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.detection import shapes
from tests.unit.detection.shapes import N, Process

from opentelemetry.instrumentation.memory._detection.detector import LeakDetector
from opentelemetry.instrumentation.memory._detection.segment import SegmentWatch
from opentelemetry.instrumentation.memory.model import MemorySample, Partition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.instrumentation.memory.model import LeakVerdict

STATE_BYTES = 256 * 1024


def leaking(segment: str = "python_heap") -> list[MemorySample]:
    return Process(segment).samples(shapes.linear(shapes.seeded(0)))


def after(samples: Iterable[MemorySample], detector: LeakDetector | None = None) -> LeakVerdict:
    detector = detector or LeakDetector()
    for each in samples:
        verdict = detector.update(each)
    return verdict


def with_parts(sample: MemorySample, **parts: int | None) -> MemorySample:
    return replace(sample, partition=replace(sample.partition, **parts))


def test_first_samples_are_too_few_to_tell() -> None:
    verdict = after(leaking()[:20])
    assert (verdict.state, verdict.risk) == ("warming_up", 0.0)
    assert verdict.reason == "not enough samples yet"


def test_process_without_a_split_is_judged_by_what_is_known() -> None:
    samples = [
        replace(
            each,
            heap_used_bytes=None,
            limit_bytes=None,
            partition=Partition(other_anonymous_bytes=each.resident_bytes),
        )
        for each in leaking()
    ]
    verdict = after(samples)
    assert (verdict.state, verdict.segment) == ("confirmed", "other_anonymous")
    assert verdict.time_to_exhaustion_seconds is None


def in_group(samples: Iterable[MemorySample], left_mib: float | None) -> list[MemorySample]:
    """Return the samples of a process in a group of 1 TiB, of which so much is left at last."""
    last = list(samples)[-1].resident_bytes or 0
    limit = 2**40
    return [
        replace(
            each,
            limit_bytes=limit,
            limit_usage_bytes=None
            if left_mib is None
            else limit - round(left_mib * 2**20) - last + (each.resident_bytes or 0),
        )
        for each in samples
    ]


def test_time_to_exhaustion_counts_all_that_share_the_limit() -> None:
    alone, among_others = in_group(leaking(), None), in_group(leaking(), 4)
    assert after(alone).state == "quiet"
    assert after(alone).reason == (
        "python heap grew, but growth is too slow to reach the limit in any foreseeable time"
    )
    verdict = after(among_others)
    assert (verdict.state, verdict.segment) == ("confirmed", "python_heap")
    (growth,) = verdict.growth
    # The verdict may be as old as the last judgement.
    assert verdict.time_to_exhaustion_seconds == pytest.approx(
        4 * 2**20 / growth.bytes_per_second, abs=16
    )


def test_no_time_is_left_when_the_others_have_used_up_the_limit() -> None:
    assert after(in_group(leaking(), -100)).time_to_exhaustion_seconds == 0


def test_samples_without_a_resident_set_say_nothing() -> None:
    samples = leaking()
    empty = [replace(each, resident_bytes=None, partition=Partition()) for each in samples]
    assert after(empty).state == "warming_up"
    mixed = [each if i % 3 else empty[i] for i, each in enumerate(samples)]
    assert after(mixed).state == "confirmed"


def test_figures_that_an_allocator_did_not_update_are_no_evidence() -> None:
    """The heap is read each twentieth time; in between its last figure is repeated."""
    fresh = Process(interval_seconds=20.0).samples(shapes.linear(shapes.seeded(0)))
    stale = [
        replace(
            each,
            taken_at_seconds=each.taken_at_seconds + age,
            python_heap_age_seconds=float(age),
            native_heap_age_seconds=float(age),
        )
        for each in fresh
        for age in range(20)
    ]
    assert after(stale).state == after(fresh).state == "confirmed"
    assert after(stale).growth[0].bytes_per_second == pytest.approx(
        after(fresh).growth[0].bytes_per_second, rel=0.1
    )


def test_segment_that_appears_late_is_judged_from_then_on() -> None:
    heap = Process("native_heap").samples(shapes.linear_from_the_start(shapes.seeded(0)))
    late = [
        with_parts(each, native_heap_bytes=None) if i < 300 else each for i, each in enumerate(heap)
    ]
    verdict = after(late)
    assert (verdict.state, verdict.segment) == ("confirmed", "native_heap")


def test_alarm_ends_when_the_source_of_its_segment_is_gone() -> None:
    detector = LeakDetector()
    assert after(leaking("native_heap"), detector).state == "confirmed"
    last = leaking("native_heap")[-1]
    blind = [
        with_parts(replace(last, taken_at_seconds=N + float(i)), native_heap_bytes=None)
        for i in range(40)
    ]
    assert after(blind[:10], detector).state == "confirmed"
    assert after(blind[10:], detector).state == "recovered"


def test_source_that_fails_for_a_moment_changes_nothing() -> None:
    samples = leaking("native_heap")
    flickering = [
        with_parts(each, native_heap_bytes=None) if i % 50 < 10 else each
        for i, each in enumerate(samples)
    ]
    assert after(flickering).segment == "native_heap"


def test_each_timestamp_twice_tells_the_same_as_once() -> None:
    samples = leaking()
    twice = after([each for each in samples for _ in range(2)])
    assert (twice.state, twice.segment) == ("confirmed", "python_heap")
    assert twice.growth[0].bytes_per_second == pytest.approx(
        after(samples).growth[0].bytes_per_second, rel=0.1
    )


def test_one_moment_repeated_is_no_evidence() -> None:
    samples = [replace(each, taken_at_seconds=5.0) for each in leaking()]
    assert after(samples).state == "warming_up"


def test_clock_that_is_set_back_neither_hides_nor_makes_a_leak() -> None:
    def set_back(samples: list[MemorySample]) -> list[MemorySample]:
        return [
            replace(each, taken_at_seconds=each.taken_at_seconds - 10_000 * (i > 400))
            for i, each in enumerate(samples)
        ]

    assert after(set_back(leaking())).state == "confirmed"
    steady = Process().samples(shapes.steady(shapes.seeded(0)))
    assert after(set_back(steady)).state == "quiet"


def test_pause_of_a_day_is_no_leak() -> None:
    steady = Process().samples(shapes.steady(shapes.seeded(0)))
    paused = [
        replace(each, taken_at_seconds=each.taken_at_seconds + 86_400 * (i > 600))
        for i, each in enumerate(steady)
    ]
    assert after(paused).state == "quiet"


def test_time_that_is_no_number_is_ignored() -> None:
    detector = LeakDetector()
    verdict = after(leaking(), detector)
    for time in (math.nan, math.inf, -math.inf):
        assert detector.update(replace(leaking()[0], taken_at_seconds=time)) == verdict


def test_alarm_does_not_flap_while_a_leak_keeps_its_pace() -> None:
    detector = LeakDetector()
    states = [detector.update(each).state for each in leaking()]
    changes = [each for i, each in enumerate(states) if i == 0 or each != states[i - 1]]
    assert changes == ["warming_up", "quiet", "suspected", "confirmed"]


def rising_for(ticks: int) -> Iterable[MemorySample]:
    rng = shapes.seeded(0)
    for i in range(ticks):
        parts = [10_000_000 + 1000 * i + rng.randrange(500) for _ in range(4)]
        yield MemorySample(
            float(i),
            1,
            resident_bytes=sum(parts),
            partition=Partition(*parts),
            limit_bytes=2**40,
        )


def test_state_is_small_after_a_long_rise_of_every_segment() -> None:
    detector = LeakDetector()
    after(rising_for(40_000), detector)
    assert len(json.dumps(detector.to_state())) < STATE_BYTES


def test_state_is_small_when_every_scale_is_full() -> None:
    """Some 10^8 samples that rise by ever longer fractions; only the coarse blocks are played."""
    watch = SegmentWatch()
    for i in range(40):
        watch.add(i / 3, i / 3, 1e9, None)
    floor_type, judged = type(watch._floors[0]), watch._judgements[0]
    watch._floors = [floor_type(4 ** (scale + 1)) for scale in range(10)]
    for floor in watch._floors:
        for i in range(2000):
            floor.add(1e6 + i / 3, 1e9 + i * math.pi, floor.block_samples)
        floor.add(1e7 / 3, 1e10 / 3, floor.block_samples - 1)
    watch._judgements = [replace(judged, obstacle="growth is slowing down")] * 10
    saved = json.dumps({str(i): watch.to_state() for i in range(4)})
    assert len(saved) < STATE_BYTES


@pytest.fixture(scope="module")
def saved() -> dict[str, Any]:
    detector = LeakDetector(1.0)
    after([*leaking(), *leaking("retained")[:10]], detector)
    return detector.to_state()


def paths(saved: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value within a state."""
    if isinstance(saved, dict):
        inner = list(saved.items())
    else:
        inner = list(enumerate(saved)) if isinstance(saved, list) else []
    return [path, *(each for key, value in inner for each in paths(value, (*path, key)))]


def damaged(saved: dict[str, Any], path: tuple[Any, ...], value: Any) -> Any:
    state = json.loads(json.dumps(saved))
    if not path:
        return value
    where = state
    for key in path[:-1]:
        where = where[key]
    where[path[-1]] = value
    return state


@pytest.mark.parametrize(
    "value",
    [
        None,
        -1,
        2**60,
        10**400,
        0.5,
        1e29,
        math.nan,
        math.inf,
        "",
        "zz",
        "00" * 8,
        [],
        [1],
        {},
        {"a": 1},
    ],
    ids=lambda value: f"{value!r:.12}",
)
def test_damaged_state_raises_value_error_or_is_harmless(saved: dict[str, Any], value: Any) -> None:
    refused = 0
    every = paths(saved)
    for path in every:
        try:
            detector = LeakDetector.from_state(damaged(saved, path, value))
        except ValueError:
            refused += 1
            continue
        verdict = after(leaking()[:100], detector)
        assert 0 <= verdict.risk <= 1
        json.dumps(detector.to_state(), allow_nan=False)
    assert refused > len(every) // 3


def test_state_with_a_member_missing_is_refused(saved: dict[str, Any]) -> None:
    for path in paths(saved):
        if path and isinstance(path[-1], str):
            state = json.loads(json.dumps(saved))
            where = state
            for key in path[:-1]:
                where = where[key]
            del where[path[-1]]
            # A segment or what is counted for one may be absent.
            if path[-1] not in {*saved["watches"], *saved["absent_ticks"]}:
                with pytest.raises(ValueError, match="state"):
                    LeakDetector.from_state(state)


@pytest.mark.parametrize("change", [{"version": 0}, {"byte_order": "3ff0000000000000"}])
def test_state_of_another_version_or_machine_is_refused(
    saved: dict[str, Any], change: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="not a state of this detector"):
        LeakDetector.from_state({**saved, **change})


def test_restored_detector_repeats_its_verdict_until_it_knows_better(saved: dict[str, Any]) -> None:
    restored = LeakDetector.from_state(json.loads(json.dumps(saved)))
    again = replace(leaking()[-1], taken_at_seconds=5_000.0)
    assert restored.update(again).state == "confirmed"


def test_another_process_is_judged_from_its_own_beginning() -> None:
    detector = LeakDetector()
    assert after(leaking(), detector).state == "confirmed"
    successor = [
        replace(each, pid=each.pid + 1, taken_at_seconds=each.taken_at_seconds + 2 * N)
        for each in Process("python_heap").samples(shapes.steady(shapes.seeded(0)))
    ]
    assert detector.update(successor[0]).state == "warming_up"
    assert after(successor, detector).state == "quiet"
    again = [
        replace(each, pid=each.pid + 2, taken_at_seconds=each.taken_at_seconds + 4 * N)
        for each in leaking()
    ]
    assert after(again, detector).state == "confirmed"


def first(state: str, samples: Iterable[MemorySample]) -> int | None:
    detector = LeakDetector()
    states = [detector.update(each).state for each in samples]
    return states.index(state) if state in states else None


@pytest.mark.parametrize("every", [2, 4, 8])
def test_source_that_rests_between_reads_delays_the_verdict_little(every: int) -> None:
    read = leaking()
    rested = []
    for number, sample in enumerate(read):
        last = read[number - number % every]
        age = sample.taken_at_seconds - last.taken_at_seconds
        rested.append(
            replace(sample, heap_used_bytes=last.heap_used_bytes, python_heap_age_seconds=age)
        )
    at_once, late = first("confirmed", read), first("confirmed", rested)
    assert at_once is not None
    assert late is not None
    assert late <= 1.25 * at_once
    assert after(rested).segment == "python_heap"


def test_growth_of_a_leak_that_began_late_is_that_of_the_leak() -> None:
    quiet, slope = N // 2, 50_000
    levels = shapes.line(slope / shapes.MIB, start=quiet)
    verdict = after(Process("python_heap").samples(shapes.add(shapes.flat(40.0), levels)))
    assert verdict.state == "confirmed"
    assert verdict.growth[0].bytes_per_second == pytest.approx(slope, rel=0.25)
