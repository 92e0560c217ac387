"""What holds for every series, found out by Hypothesis."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.detection import shapes
from tests.unit.detection.shapes import LEAKS, QUIET, N, Process

from opentelemetry.instrumentation.memory._detection.detector import LeakDetector
from opentelemetry.instrumentation.memory._detection.envelope import KeptFloor
from opentelemetry.instrumentation.memory.model import SEGMENTS, MemorySample, Partition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.unit.detection.shapes import Shape

    from opentelemetry.instrumentation.memory._detection.envelope import Rise
    from opentelemetry.instrumentation.memory.model import LeakVerdict

reproducible = settings(
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

any_shape = st.sampled_from((*QUIET, *LEAKS))
seeds = st.integers(0, 2**32 - 1)
sizes = st.one_of(
    st.just(0), st.integers(0, 4096), st.integers(0, 2**33), st.integers(0, 2**50), st.none()
)
intervals = st.one_of(
    st.floats(1e-3, 1e6), st.sampled_from((0.0, 1.0, -1.0, -1e6, math.nan, math.inf))
)
ages = st.sampled_from((None, 0.0, 3.0))


@st.composite
def wild_samples(draw: st.DrawFn) -> list[MemorySample]:
    """Return samples that no process would give: any size, any clock, segments that come and go."""
    now, samples = 0.0, []
    length = draw(st.integers(0, 12))
    for _ in range(length):
        parts = [draw(sizes) for _ in SEGMENTS]
        again, interval = draw(st.integers(1, 60)), draw(intervals)
        step = draw(st.integers(-(2**20), 2**20))
        for turn in range(again):
            now = now + interval if math.isfinite(now) else 0.0
            grown = [None if part is None else max(part + turn * step, 0) for part in parts]
            samples.append(
                MemorySample(
                    taken_at_seconds=now,
                    pid=1,
                    resident_bytes=draw(sizes) if turn == 0 else sum(filter(None, grown)),
                    partition=Partition(*grown),
                    limit_bytes=draw(sizes) if turn == 0 else samples[-1].limit_bytes,
                    python_heap_age_seconds=draw(ages) if turn == 0 else 0.0,
                    native_heap_age_seconds=draw(ages) if turn == 0 else 0.0,
                )
            )
    return samples


def verdicts(samples: Iterable[MemorySample]) -> list[LeakVerdict]:
    detector = LeakDetector()
    return [detector.update(each) for each in samples]


def process(shape: Shape, seed: int, interval: float = 10.0) -> list[MemorySample]:
    values = shape(shapes.seeded(seed))
    return Process(interval_seconds=interval).samples(values, seed)


def scaled(sample: MemorySample, factor: int) -> MemorySample:
    values = [value * factor for _, value in sample.partition.present()]
    return replace(
        sample,
        resident_bytes=sum(values),
        partition=Partition(*values),
        heap_used_bytes=values[0],
        limit_bytes=None if sample.limit_bytes is None else sample.limit_bytes * factor,
    )


def lifted(sample: MemorySample, constant: int) -> MemorySample:
    """Return the sample of a process whose python heap and limit are larger by a constant."""
    parts = replace(
        sample.partition, python_heap_bytes=(sample.partition.python_heap_bytes or 0) + constant
    )
    return replace(
        sample,
        resident_bytes=(sample.resident_bytes or 0) + constant,
        partition=parts,
        heap_used_bytes=parts.python_heap_bytes,
        limit_bytes=(sample.limit_bytes or 0) + constant,
    )


def rises(values: Sequence[float], block_samples: int = 4) -> list[Rise]:
    floor = KeptFloor(block_samples)
    for i, value in enumerate(values):
        floor.add(float(i), float(value))
    return list(floor.rises())


@reproducible
@given(any_shape, seeds, st.integers(0, 2**40))
def test_constant_changes_no_feature_of_a_rise(shape: Shape, seed: int, constant: int) -> None:
    values = [round(value * 2**20) for value in shape(shapes.seeded(seed))[:500]]
    lifted_rises = rises([value + constant for value in values])
    for before, after in zip(rises(values), lifted_rises, strict=True):
        assert after == pytest.approx(before, rel=1e-6, abs=1e-6)


@reproducible
@given(st.sampled_from(tuple(LEAKS)), st.integers(0, 20))
def test_constant_that_leaves_growth_material_changes_no_verdict(shape: Shape, mib: int) -> None:
    samples = process(shape, 0)
    end = verdicts(samples)[-1]
    lifted_end = verdicts(lifted(each, mib * 2**20) for each in samples)[-1]
    assert (lifted_end.state, lifted_end.segment) == (end.state, end.segment)
    # Which of its rises is described may change, the pace of the leak does not.
    assert lifted_end.growth[0].bytes_per_second == pytest.approx(
        end.growth[0].bytes_per_second, rel=0.25
    )


@reproducible
@given(any_shape, seeds, st.sampled_from((2, 10, 1000, 1024)))
def test_factor_scales_growth_and_nothing_else(shape: Shape, seed: int, factor: int) -> None:
    samples = process(shape, seed)
    for before, after in zip(
        verdicts(samples), verdicts(scaled(each, factor) for each in samples), strict=True
    ):
        assert after.state == before.state
        assert after.segment == before.segment
        assert after.risk == pytest.approx(before.risk, abs=1e-9)
        assert after.time_to_exhaustion_seconds == pytest.approx(before.time_to_exhaustion_seconds)
        assert [each.bytes_per_second for each in after.growth] == pytest.approx(
            [each.bytes_per_second * factor for each in before.growth]
        )


@reproducible
@given(any_shape, seeds, st.sampled_from((0.1, 0.5, 10.0, 60.0, 1000.0)))
def test_stretched_time_scales_growth_and_nothing_else(
    shape: Shape, seed: int, factor: float
) -> None:
    samples = process(shape, seed)
    stretched = [replace(each, taken_at_seconds=each.taken_at_seconds * factor) for each in samples]
    for before, after in zip(verdicts(samples), verdicts(stretched), strict=True):
        assert after.state == before.state
        assert after.segment == before.segment
        assert after.risk == pytest.approx(before.risk, abs=1e-9)
        assert [each.bytes_per_second * factor for each in after.growth] == pytest.approx(
            [each.bytes_per_second for each in before.growth]
        )
        if before.time_to_exhaustion_seconds is not None:
            assert after.time_to_exhaustion_seconds == pytest.approx(
                before.time_to_exhaustion_seconds * factor
            )


@reproducible
@given(wild_samples())
def test_verdict_on_anything_is_within_bounds(samples: list[MemorySample]) -> None:
    detector = LeakDetector()
    for each in samples:
        verdict = detector.update(each)
        assert 0 <= verdict.risk <= 1
        assert verdict.risk < 0.9 or verdict.state == "confirmed"
        assert all(math.isfinite(growth.bytes_per_second) for growth in verdict.growth)
        assert verdict.time_to_exhaustion_seconds is None or verdict.time_to_exhaustion_seconds >= 0
        assert verdict.reason
    json.dumps(detector.to_state(), allow_nan=False)


@reproducible
@given(any_shape, seeds, st.integers(0, N))
def test_no_verdict_depends_on_the_future(shape: Shape, seed: int, length: int) -> None:
    samples = process(shape, seed)
    assert verdicts(samples)[:length] == verdicts(samples[:length])


@reproducible
@given(any_shape, seeds, st.integers(0, N))
def test_saved_and_restored_detector_goes_on_as_before(shape: Shape, seed: int, at: int) -> None:
    samples = process(shape, seed)
    detector = LeakDetector()
    for each in samples[:at]:
        detector.update(each)
    restored = LeakDetector.from_state(json.loads(json.dumps(detector.to_state())))
    for each in samples[at:]:
        assert restored.update(each) == detector.update(each)
    assert restored.to_state() == detector.to_state()


@reproducible
@given(wild_samples(), wild_samples())
def test_any_state_can_be_restored(before: list[MemorySample], after: list[MemorySample]) -> None:
    detector = LeakDetector(2.0)
    for each in before:
        detector.update(each)
    restored = LeakDetector.from_state(json.loads(json.dumps(detector.to_state())))
    assert [restored.update(each) for each in after] == [detector.update(each) for each in after]
