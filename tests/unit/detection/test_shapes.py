"""The catalogue of shapes: what must stay quiet, and what must be caught, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.unit.detection import shapes
from tests.unit.detection.shapes import LEAKS, QUIET, N, Process

from opentelemetry.instrumentation.memory._detection.detector import LeakDetector

if TYPE_CHECKING:
    from tests.unit.detection.shapes import Shape

    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample

SEEDS = range(3)
# Where a leak must be confirmed at the latest, as a share of the run after it began.
LATEST_SHARE = 0.6

quiet = pytest.mark.parametrize("shape", QUIET, ids=lambda shape: shape.__name__)
leaking = pytest.mark.parametrize("shape", LEAKS, ids=lambda shape: shape.__name__)
each_seed = pytest.mark.parametrize("seed", SEEDS)


@dataclass
class Course:
    """What the detector thought in the course of a run."""

    verdicts: list[LeakVerdict] = field(default_factory=list)

    @property
    def end(self) -> LeakVerdict:
        return self.verdicts[-1]

    @property
    def states(self) -> list[str]:
        """The states in turn, each once until it changes."""
        states = [verdict.state for verdict in self.verdicts]
        return [each for i, each in enumerate(states) if i == 0 or states[i - 1] != each]

    def confirmed_at(self) -> int:
        return next(i for i, each in enumerate(self.verdicts) if each.state == "confirmed")


def course(shape: Shape, seed: int = 0, segment: str = "python_heap") -> Course:
    process = Process(segment, interval_seconds=5.0)
    detector = LeakDetector()
    values = shape(shapes.seeded(seed))
    return Course([detector.update(sample) for sample in process.samples(values, seed)])


@each_seed
@quiet
def test_innocent_shape_never_ends_confirmed(shape: Shape, seed: int) -> None:
    end = course(shape, seed).end
    assert end.state != "confirmed", end.reason


@each_seed
@quiet
def test_innocent_shape_never_ends_confirmed_in_the_native_heap(shape: Shape, seed: int) -> None:
    assert course(shape, seed, "native_heap").end.state != "confirmed"


# These never look like a leak for as long as it takes to confirm one. A single tooth, a buffer or a
# ramp that outlasts that time is a line until it turns: it must be withdrawn when it does.
NEVER_STRAIGHT = (
    shapes.steady,
    shapes.idle,
    shapes.sawtooth,
    shapes.periodic_batch,
    shapes.daily_load,
    shapes.daily_load_with_flat_nights,
    shapes.weekly_load,
    shapes.filling_cache,
    shapes.converging_vocabulary,
    shapes.imports_and_interning,
    shapes.one_step,
    shapes.steps_with_load,
)


@each_seed
@pytest.mark.parametrize("shape", NEVER_STRAIGHT, ids=lambda shape: shape.__name__)
def test_shape_that_is_never_straight_is_never_confirmed(shape: Shape, seed: int) -> None:
    assert "confirmed" not in course(shape, seed).states


@each_seed
@leaking
def test_leak_ends_confirmed_in_its_segment(shape: Shape, seed: int) -> None:
    seen = course(shape, seed)
    end = seen.end
    assert (end.state, end.segment) == ("confirmed", "python_heap"), end.reason
    assert end.risk >= 0.2
    assert all(each.state == "confirmed" for each in seen.verdicts if each.risk >= 0.9)
    assert end.time_to_exhaustion_seconds is not None


@leaking
def test_leak_is_confirmed_while_it_can_still_be_mended(shape: Shape) -> None:
    seen = course(shape)
    begin, length = LEAKS[shape], len(seen.verdicts)
    assert begin < seen.confirmed_at() < begin + LATEST_SHARE * length


@each_seed
@pytest.mark.parametrize("segment", ["native_heap", "other_anonymous"])
@pytest.mark.parametrize("shape", [shapes.linear, shapes.stepwise, shapes.maps_now_and_then])
def test_leak_outside_of_the_python_heap_is_named(shape: Shape, segment: str, seed: int) -> None:
    end = course(shape, seed, segment).end
    assert (end.state, end.segment) == ("confirmed", segment), end.reason


@pytest.mark.parametrize("shape", [shapes.linear, shapes.linear_from_the_start])
def test_growth_of_a_line_is_its_slope(shape: Shape) -> None:
    (growth,) = course(shape).end.growth
    assert growth.bytes_per_second == pytest.approx(0.05 * 2**20 / 5, rel=0.1)


@each_seed
def test_leak_that_stops_is_recovered_and_then_quiet(seed: int) -> None:
    seen = course(shapes.leak_that_stops, seed)
    assert seen.states[-3:] == ["confirmed", "recovered", "quiet"]
    withdrawn = next(each for each in seen.verdicts if each.state == "recovered")
    assert withdrawn.reason.startswith("the alarm is withdrawn: ")
    assert withdrawn.growth == ()
    assert withdrawn.time_to_exhaustion_seconds is None


@each_seed
def test_alarm_is_withdrawn_when_memory_is_given_back(seed: int) -> None:
    seen = course(shapes.leak_that_is_given_back, seed)
    given_back = 900
    assert seen.verdicts[given_back - 1].state == "confirmed"
    assert seen.verdicts[given_back + N // 10].state in {"recovered", "quiet"}
    assert seen.end.state == "quiet"


@each_seed
def test_fragmentation_is_named_and_is_no_leak(seed: int) -> None:
    seen = course(shapes.linear, seed, "retained")
    assert set(seen.states) == {"warming_up", "quiet"}
    assert seen.end.segment == "retained"
    assert seen.end.growth == ()
    assert seen.end.reason.startswith("fragmentation, not a leak")


@each_seed
def test_fragmentation_that_levels_off_is_not_mentioned(seed: int) -> None:
    seen = course(shapes.filling_cache, seed, "retained")
    assert set(seen.states) == {"warming_up", "quiet"}
    assert seen.end.segment is None


def test_retained_memory_of_a_leaking_process_is_not_called_fragmentation() -> None:
    detector = LeakDetector()
    rng = shapes.seeded(0)
    leak, kept = shapes.linear(rng), shapes.linear(rng)
    for i in range(N):
        verdict = detector.update(shapes.sample(i, python_heap=leak[i], retained=kept[i]))
    assert (verdict.state, verdict.segment) == ("confirmed", "python_heap")


def test_two_leaking_segments_are_both_named_and_share_the_headroom() -> None:
    detector = LeakDetector()
    rng = shapes.seeded(0)
    heap, native = shapes.linear(rng), shapes.linear(rng)
    for i in range(N):
        last = shapes.sample(i, python_heap=heap[i], native_heap=native[i])
        verdict = detector.update(last)
    assert {each.segment for each in verdict.growth} == {"python_heap", "native_heap"}
    pace = sum(each.bytes_per_second for each in verdict.growth)
    assert last.limit_bytes is not None
    assert last.resident_bytes is not None
    headroom = last.limit_bytes - last.resident_bytes
    # The verdict may be as old as the last judgement.
    assert verdict.time_to_exhaustion_seconds == pytest.approx(headroom / pace, abs=16)


def ended(samples: list[MemorySample]) -> LeakVerdict:
    detector = LeakDetector(minimum_tick_seconds=10.0)
    return [detector.update(sample) for sample in samples][-1]


@pytest.mark.parametrize("shape", [*LEAKS, shapes.steady, shapes.filling_cache, shapes.one_step])
def test_looking_twenty_times_as_often_tells_nearly_the_same(shape: Shape) -> None:
    values = shape(shapes.seeded(0))
    paced = ended(Process(interval_seconds=10.0).samples(values))
    rng = shapes.seeded(1)
    between = [value + rng.gauss(0, 0.2) for value in values for _ in range(20)]
    dense = ended(Process(interval_seconds=0.5).samples(between))
    assert (dense.state, dense.segment) == (paced.state, paced.segment)
    assert dense.risk == pytest.approx(paced.risk, abs=0.15)
    assert [each.bytes_per_second for each in dense.growth] == pytest.approx(
        [each.bytes_per_second for each in paced.growth], rel=0.3
    )
