"""A transformed series is still the series its label speaks of."""

from __future__ import annotations

import itertools

import pytest
from series import Series, labels, load, partition
from transforms import TRANSFORMS, resident_only, restart, stretch_time

CHOSEN = (
    "leak_teeth_run",
    "ok_teeth_few",
    "leak_rss_run",
    "leak_stopped_run",
    "ok_machine_sine_from_05",
)


def series(name: str) -> Series:
    return load(next(label for label in labels() if label.name == name))


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize("name", CHOSEN)
def test_transformed_series_is_well_formed(transform: str, name: str) -> None:
    moved = TRANSFORMS[transform](series(name))
    if moved is None:
        assert transform.startswith("restart")
        return
    assert all(a.time < b.time for a, b in itertools.pairwise(moved.rows))
    for row in moved.rows:
        present = partition(row).present()
        assert sum(value for _, value in present) == row.rss
        assert all(value >= 0 for _, value in present)


def test_stretched_time_moves_the_label_along() -> None:
    before = series("leak_stopped_run")
    after = stretch_time(before, 10)
    assert after.rows[-1].time == pytest.approx(10 * before.rows[-1].time)
    assert after.label.leak_start_seconds == pytest.approx(10 * before.label.leak_start_seconds)
    assert after.label.leak_stop_seconds == pytest.approx(10 * before.label.leak_stop_seconds)


def test_transforms_are_the_same_each_time() -> None:
    for transform in TRANSFORMS.values():
        assert transform(series("leak_teeth_run")) == transform(series("leak_teeth_run"))


def test_restart_plays_the_first_half_twice() -> None:
    before = series("ok_teeth_few")
    after = restart(before)
    half = len(before.rows) // 2
    assert [row.rss for row in after.rows] == [row.rss for row in before.rows[:half]] * 2
    assert {row.pid for row in after.rows[:half]} == {1}
    assert {row.pid for row in after.rows[half:]} == {2}


def test_restart_is_not_asked_of_a_leak_that_begins_after_it() -> None:
    assert restart(series("leak_straight_late_hour")) is None


def test_segment_is_unknown_to_an_outside_observer() -> None:
    assert resident_only(series("leak_teeth_run")).label.segment == "unknown"
    assert resident_only(series("ok_teeth_few")).label.segment == "none"
