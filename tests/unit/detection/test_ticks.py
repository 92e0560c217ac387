from __future__ import annotations

import math

from opentelemetry.instrumentation.memory._detection.ticks import Ticks


def feed(ticks: Ticks, *samples: tuple[float, float]) -> list[tuple[float, float]]:
    """Add samples as (time, value); return the ticks they completed, likewise."""
    completed = (ticks.add(time, {"python_heap": value}) for time, value in samples)
    return [(tick[0], tick[1]["python_heap"]) for tick in completed if tick is not None]


def test_without_a_minimum_each_sample_is_a_tick() -> None:
    assert feed(Ticks(0.0), (0, 1), (1, 2), (3, 3)) == [(0, 1), (1, 2), (3, 3)]


def test_time_counts_from_the_first_sample() -> None:
    assert feed(Ticks(0.0), (1e9, 1), (1e9 + 2, 2)) == [(0, 1), (2, 2)]


def test_samples_within_a_tick_are_averaged() -> None:
    samples = [(0.5 * i, float(i)) for i in range(9)]
    assert feed(Ticks(2.0), *samples) == [(0, 0), (1.25, 2.5), (3.25, 6.5)]


def test_timer_that_fires_a_little_early_completes_its_tick() -> None:
    assert len(feed(Ticks(10.0), (0, 1), (9.9, 2), (19.95, 3))) == 3


def test_pace_that_persists_lengthens_the_tick() -> None:
    ticks = Ticks(0.0)
    feed(ticks, *((10.0 * i, 1.0) for i in range(20)))
    assert feed(ticks, (190.5, 1), (191, 1), (195, 1)) == []
    assert len(feed(ticks, (200, 1))) == 1


def test_single_gap_does_not_lengthen_the_tick() -> None:
    ticks = Ticks(0.0)
    feed(ticks, *((float(i), 1.0) for i in range(20)), (3600.0, 1.0))
    assert len(feed(ticks, (3601, 1), (3602, 1))) == 2


def test_second_sample_of_the_same_moment_belongs_to_the_next_tick() -> None:
    assert feed(Ticks(0.0), (0, 1), (0, 3), (2, 5)) == [(0, 1), (1, 4)]


def test_clock_that_is_set_back_goes_on_from_where_it_stood() -> None:
    ticks = Ticks(0.0)
    assert feed(ticks, (100, 1), (101, 2)) == [(0, 1), (1, 2)]
    assert feed(ticks, (7, 3), (8, 5), (9, 6)) == [(1.5, 4), (3, 6)]


def test_time_that_is_no_number_is_ignored() -> None:
    assert feed(Ticks(0.0), (math.nan, 1), (math.inf, 1), (5, 2), (6, 3)) == [(0, 2), (1, 3)]


def test_segment_that_is_missing_in_some_samples_is_averaged_over_the_others() -> None:
    ticks = Ticks(2.0)
    ticks.add(0.0, {"python_heap": 1.0})
    ticks.add(1.0, {"python_heap": 2.0, "retained": 8.0})
    assert ticks.add(2.0, {"python_heap": 4.0}) == (1.5, {"python_heap": 3.0, "retained": 8.0})


def test_restored_ticks_share_nothing_with_those_they_were_saved_from() -> None:
    ticks = Ticks(10.0)
    feed(ticks, (0, 1), (3, 2))
    restored = Ticks.from_state(ticks.to_state())
    assert feed(ticks, (5, 3), (10, 4)) == feed(restored, (5, 3), (10, 4))
