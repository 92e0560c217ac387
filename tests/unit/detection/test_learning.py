"""What one run teaches, and what the next one makes of it."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.fakes import MIB

from opentelemetry.instrumentation.memory._detection.detector import LeakDetector
from opentelemetry.instrumentation.memory._detection.learning import (
    Arrival,
    BaselineLearner,
    Distribution,
    level_bin,
)
from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample, Partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory._detection.baseline import Baseline, SegmentBaseline
    from opentelemetry.instrumentation.memory.model import LeakState

QUIET = LeakVerdict("quiet")
HOUR = 3600.0
DAY = 24 * HOUR


def sample_at(seconds: float, native_mib: float, native_age_seconds: float = 0.0) -> MemorySample:
    """Return a sample of a process of which only the native heap changes."""
    native = int(native_mib * MIB)
    return MemorySample(
        taken_at_seconds=5000.0 + seconds,
        pid=1,
        resident_bytes=native + 60 * MIB,
        partition=Partition(20 * MIB, native, 0, 10 * MIB, 30 * MIB, 0),
        native_heap_age_seconds=native_age_seconds,
    )


@dataclass
class Run:
    """One run of a service, judged and learnt from as it goes."""

    baseline: Baseline | None
    max_risk: float = 0.0
    confirmed_at_seconds: float | None = None
    changes: int = 0


def run(
    shape: Callable[[float], float],
    days: float,
    interval_seconds: float,
    known: Baseline | None = None,
    seed: int = 1,
) -> Run:
    rng = random.Random(seed)  # noqa: S311 - a seeded series
    detector, learner, result = LeakDetector(0.0, known), BaselineLearner(known), Run(known)
    for index in range(int(days * DAY / interval_seconds)):
        seconds = index * interval_seconds
        hour = int(seconds / HOUR) % 168
        sample = sample_at(seconds, shape(seconds) * rng.uniform(1, 1.004))
        verdict = detector.update(sample, hour)
        result.changes += learner.learn(sample, hour, verdict)
        result.max_risk = max(result.max_risk, verdict.risk)
        if verdict.state == "confirmed" and result.confirmed_at_seconds is None:
            result.confirmed_at_seconds = seconds
    result.baseline = learner.baseline
    return result


def learnt(
    shape: Callable[[float], float],
    seconds: float,
    known: Baseline | None = None,
    interval_seconds: float = 10.0,
    state_at: Callable[[float], LeakState] = lambda _: "quiet",
) -> SegmentBaseline | None:
    """Return what is learnt of a native heap while the detector thinks what it is told."""
    learner = BaselineLearner(known)
    for index in range(int(seconds / interval_seconds)):
        now = index * interval_seconds
        learner.learn(sample_at(now, shape(now)), int(now / HOUR), LeakVerdict(state_at(now)))
    return None if learner.baseline is None else learner.baseline.segments.get("native_heap")


def fill(seconds: float) -> float:
    """Return a cache that fills at an even pace for six hours, and then is full."""
    return 50 + 150 * min(seconds / (6 * HOUR), 1)


def office(seconds: float) -> float:
    """Return twice the level by day."""
    return 120 if 8 <= seconds / HOUR % 24 < 20 else 60


# --- the second start --------------------------------------------------------------------------


def test_second_start_is_not_surprised_by_its_own_warm_up() -> None:
    first = run(fill, days=1, interval_seconds=10)
    assert first.max_risk >= 0.5
    second = run(fill, days=1, interval_seconds=10, known=first.baseline, seed=2)
    assert second.max_risk < 0.5
    third = run(lambda t: 1.04 * fill(t), 1, 10, known=second.baseline, seed=3)
    assert third.max_risk < 0.5


def test_leak_after_the_known_warm_up_is_confirmed() -> None:
    first = run(fill, days=1, interval_seconds=10)
    leak = run(lambda t: fill(t) + max(t - 10 * HOUR, 0) / HOUR * 15, 1, 10, known=first.baseline)
    assert leak.confirmed_at_seconds is not None
    assert leak.confirmed_at_seconds > 10 * HOUR
    assert leak.max_risk >= 0.9


def test_leak_that_passes_for_a_warm_up_is_confirmed_once_it_exceeds_it() -> None:
    first = run(fill, days=1, interval_seconds=10)
    leak = run(lambda t: 50 + 40 * t / HOUR, days=1, interval_seconds=10, known=first.baseline)
    assert leak.confirmed_at_seconds is not None
    assert 4 * HOUR < leak.confirmed_at_seconds < 8 * HOUR


def test_leak_at_night_is_confirmed_before_it_exceeds_the_level_of_the_day() -> None:
    known = None
    for seed in range(2):
        known = run(office, days=5, interval_seconds=300, known=known, seed=seed).baseline
    assert run(office, days=5, interval_seconds=300, known=known, seed=7).max_risk < 0.5

    def leak(seconds: float) -> float:
        return office(seconds) + max(seconds - 2 * DAY - 21 * HOUR, 0) / HOUR * 4

    with_season = run(leak, days=3.3, interval_seconds=30, known=known, seed=8)
    assert with_season.confirmed_at_seconds is not None
    assert with_season.confirmed_at_seconds < 3 * DAY + 4 * HOUR
    assert leak(with_season.confirmed_at_seconds) < 100


def test_daily_load_that_is_known_does_not_hide_a_slow_leak() -> None:
    known = None
    for seed in range(2):
        known = run(office, days=5, interval_seconds=300, known=known, seed=seed).baseline

    def leak(seconds: float) -> float:
        return office(seconds) + max(seconds - 2 * DAY, 0) / DAY * 12

    without = run(leak, days=10, interval_seconds=300, seed=9)
    with_season = run(leak, days=10, interval_seconds=300, known=known, seed=9)
    assert with_season.confirmed_at_seconds is not None
    assert with_season.confirmed_at_seconds < (without.confirmed_at_seconds or 10 * DAY)


# --- what is learnt ----------------------------------------------------------------------------


def test_level_range_and_warm_up_are_learnt() -> None:
    def shape(seconds: float) -> float:
        return min(20 + 80 * seconds / HOUR, 100) + 10 * (seconds % 600 < 200)

    native = learnt(shape, DAY)
    assert native is not None
    assert native.level_bytes / MIB == pytest.approx(100, rel=0.02)
    assert native.low_bytes / MIB == pytest.approx(100, rel=0.1)
    assert native.high_bytes / MIB == pytest.approx(110, rel=0.02)
    assert native.warm_up_seconds == pytest.approx(HOUR, rel=0.2)


def test_quiet_service_has_no_warm_up() -> None:
    native = learnt(lambda _: 40, HOUR)
    assert native is not None
    assert native.warm_up_seconds == 0


def test_single_spike_is_not_normal() -> None:
    native = learnt(lambda seconds: 900 if seconds in (3000, 3010) else 40, 6 * HOUR)
    assert native is not None
    assert native.high_bytes < 42 * MIB


def test_busy_hour_of_the_day_is_normal_at_that_hour() -> None:
    native = learnt(lambda seconds: 100 if 2 <= seconds / HOUR % 24 < 3 else 40, 8 * DAY, None, 60)
    assert native is not None
    assert native.high_bytes / MIB == pytest.approx(100, rel=0.02)
    assert {round(each / MIB) for each in native.hour_high_bytes} == {0, 40, 101}
    assert native.hour_high_bytes[2 + 2 * 24] > 90 * MIB


def test_visits_add_up_over_runs_and_not_over_saves() -> None:
    known, counts = None, []
    for _ in range(3):
        learner = BaselineLearner(known)
        for index in range(int(4 * DAY / 300)):
            now = index * 300.0
            learner.learn(sample_at(now, 40), int(now / HOUR), QUIET)
        known = learner.baseline
        assert known is not None
        counts.append(known.segments["native_heap"].hour_visits[30])
    assert counts == [1, 2, 3]


def test_figure_that_is_not_fresh_is_not_learnt() -> None:
    learner = BaselineLearner()
    for index in range(1000):
        learner.learn(sample_at(index * 10, 40, native_age_seconds=5.0), 3, QUIET)
    assert learner.baseline is not None
    assert set(learner.baseline.segments) == {"python_heap"}


def test_suspended_machine_is_one_sample() -> None:
    learner = BaselineLearner()
    seconds = 0.0
    for index in range(2000):
        seconds += 50_000.0 if index == 100 else 10.0
        learner.learn(sample_at(seconds, 900 if index == 100 else 40), 3, QUIET)
    assert learner.baseline is not None
    assert learner.baseline.segments["native_heap"].high_bytes < 42 * MIB


def test_short_fast_run_is_learnt_as_well() -> None:
    native = learnt(lambda seconds: min(20 + 40 * seconds, 60), 60, interval_seconds=0.25)
    assert native is not None
    assert native.high_bytes / MIB == pytest.approx(60, rel=0.02)


# --- what is not learnt ------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["suspected", "confirmed"])
def test_nothing_is_learnt_under_suspicion(state: LeakState) -> None:
    assert learnt(lambda _: 40, DAY, state_at=lambda _: state) is None


def test_run_up_to_a_suspicion_is_thrown_away() -> None:
    def step(seconds: float) -> float:
        return 40 if seconds < 12 * HOUR else 80

    def state(seconds: float) -> LeakState:
        return "suspected" if seconds >= 15 * HOUR else "quiet"

    native = learnt(step, DAY, state_at=state)
    assert native is not None
    assert native.high_bytes < 42 * MIB


def test_what_was_learnt_after_a_suspicion_has_gone_counts() -> None:
    native = learnt(
        lambda seconds: min(20 + 20 * seconds / HOUR, 100),
        DAY,
        state_at=lambda seconds: "suspected" if HOUR < seconds < 6 * HOUR else "recovered",
    )
    assert native is not None
    assert native.high_bytes / MIB == pytest.approx(100, rel=0.02)


def test_leak_that_nobody_noticed_is_not_learnt() -> None:
    assert learnt(lambda seconds: 40 + 8 * seconds / HOUR, DAY) is None


@pytest.mark.parametrize("gained", [0.02, 0.05, 0.1, 0.3, 1.0, 3.0])
def test_slow_leak_does_not_become_normal_over_restarts(gained: float) -> None:
    first = run(lambda _: 40, days=0.5, interval_seconds=60)
    assert first.baseline is not None
    known: Baseline | None = first.baseline
    for _ in range(12):
        learner = BaselineLearner(known)
        for index in range(1440):
            learner.learn(sample_at(index * 60.0, 40 * (1 + gained * index / 1440)), 3, QUIET)
        known = learner.baseline
    assert known is not None
    assert known.segments["native_heap"].high_bytes < 40 * MIB * 1.1


def test_leak_in_steps_adds_less_than_two_of_them_over_restarts() -> None:
    known: Baseline | None = run(lambda _: 40, days=0.5, interval_seconds=60).baseline
    for _ in range(12):
        learner = BaselineLearner(known)
        for index in range(1440):
            # Eight steps a day, of a tenth each.
            learner.learn(sample_at(index * 60.0, 40 * (1 + 0.1 * (index // 180))), 3, QUIET)
        known = learner.baseline
    assert known is not None
    assert known.segments["native_heap"].high_bytes < 40 * MIB * 1.22


# --- its cost ----------------------------------------------------------------------------------


def test_state_stays_small_over_a_million_samples() -> None:
    learner, rng = BaselineLearner(), random.Random(1)  # noqa: S311 - a seeded series
    samples = [sample_at(0, 40 * rng.uniform(0.5, 2.0)) for _ in range(1000)]
    changes, most_bins = 0, 0
    for index in range(1_000_000):
        sample = samples[index % 1000]
        object.__setattr__(sample, "taken_at_seconds", index * 10.0)
        if learner.learn(sample, index // 360, QUIET):
            changes += 1
            most_bins = max(most_bins, *map(len, bins(learner)))
    assert learner.baseline is not None
    assert len(json.dumps(learner.baseline.to_state())) < 20 * 1024
    assert most_bins < 300
    assert 20 < changes < 100


def bins(learner: BaselineLearner) -> list[list[int] | dict[int, float]]:
    """Return everything that grows with what a learner has seen."""
    kept = [each for each in (learner._waiting, learner._filling, learner._visit) if each]
    levels = [each._seconds for stretch in kept for each in stretch.levels.values()]
    return [*levels, *(each._bins for each in learner._arrivals.values())]


def test_quantiles_are_within_a_percent_and_never_below() -> None:
    levels = Distribution()
    for value in range(1, 1001):
        levels.add(level_bin(value * MIB), 1.0)
    for share in (0.05, 0.5, 0.95):
        assert 1 <= levels.quantile(share) / (share * 1000 * MIB) < 1.011
    levels.add(level_bin(0.0), 10.0)
    levels.add(level_bin(2.0**70), 1e6)
    assert levels.quantile(1.0) == 2**60


def test_arrival_is_when_a_level_was_reached_to_stay() -> None:
    arrival = Arrival()
    for second, value in enumerate([10, 10, 90, 10, 50, 50, 50, 40, 100, 100, 100]):
        arrival.add(level_bin(value * MIB), float(second))
    assert arrival.age_seconds_at(48 * MIB) == 6
    assert arrival.age_seconds_at(90 * MIB) == 10
    assert arrival.age_seconds_at(sys.maxsize) == 10
