from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from opentelemetry.instrumentation.memory._detection.envelope import WINDOW_BLOCKS, KeptFloor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.instrumentation.memory._detection.envelope import Rise

LINE = [10.0 + i for i in range(90)]


def floor_of(values: Sequence[float], block_samples: int = 1) -> KeptFloor:
    floor = KeptFloor(block_samples)
    for i, value in enumerate(values):
        floor.add(float(i), value)
    return floor


def longest(values: Sequence[float]) -> Rise:
    *_, rise = floor_of(values).rises()
    return rise


def levels(floor: KeptFloor) -> list[float]:
    return list(floor._steps[2::4])


def test_floor_is_the_lowest_value_from_each_moment_on() -> None:
    values = [5.0, 3.0, 8.0, 4.0, 6.0, 6.0, 9.0, 7.0]
    # 3 at the second block, 4 from the third on (8 was given back), 6 from the fifth, 7.
    assert levels(floor_of(values)) == [3.0, 4.0, 6.0, 7.0]
    assert list(floor_of(values)._steps[0::4]) == [0.0, 2.0, 4.0, 6.0]


def test_new_low_takes_the_whole_floor_down() -> None:
    floor = floor_of([*LINE, 1.0])
    assert levels(floor) == [1.0]
    assert not list(floor.rises())


def test_block_is_the_mean_of_its_samples_at_their_mean_time() -> None:
    floor = KeptFloor(4)
    assert [floor.add(float(i), value) for i, value in enumerate([1.0, 2.0, 3.0, 6.0])] == [
        None,
        None,
        None,
        (1.5, 3.0),
    ]


def test_line_is_straight_and_its_pace_is_its_slope() -> None:
    rise = longest([2.0 * each for each in LINE])
    assert rise.concavity == pytest.approx(0.0, abs=1e-12)
    assert rise.bytes_per_second == pytest.approx(2.0)
    assert rise.fallen_back == 0.0
    assert rise.height_given_back == 0.0


def test_line_on_an_irregular_clock_is_straight() -> None:
    floor, time = KeptFloor(1), 0.0
    for i in range(90):
        time += 1.0 + i % 5
        floor.add(time, time)
    *_, rise = floor.rises()
    assert rise.concavity == pytest.approx(0.0, abs=0.01)
    assert rise.bytes_per_second == pytest.approx(1.0, rel=0.1)


def test_curve_that_slows_down_is_concave_and_one_that_speeds_up_is_convex() -> None:
    assert longest([each**0.5 for each in LINE]).concavity > 0.05
    assert longest([each**2 for each in LINE]).concavity < -0.05


def test_single_step_is_most_of_its_rise() -> None:
    values = [i / 100 + (50.0 if i > 40 else 0.0) for i in range(90)]
    assert longest(values).largest_step > 0.95


def test_rise_that_was_given_back_is_remembered_by_its_height() -> None:
    tooth = [float(i % 30) for i in range(60)]
    rise = longest([*tooth, *(each / 10 for each in LINE[:60])])
    assert rise.height_given_back == pytest.approx(29.0)


def test_rise_that_was_given_back_fades_once_the_series_is_four_times_as_old() -> None:
    quiet = [0.0] * 60
    tooth = [float(i) for i in range(30)]

    def remembered(quiet_blocks: int) -> float:
        rest = [0.0] * quiet_blocks
        return longest([*quiet, *tooth, *rest, *(each / 10 for each in LINE)]).height_given_back

    assert remembered(90) == pytest.approx(29.0)
    assert remembered(540) == pytest.approx(29.0 / 2, rel=0.01)


def test_quiet_before_counts_from_the_last_rise_of_any_size() -> None:
    wobble = [0.01 * (i % 3) for i in range(30)]
    levels = [*LINE[:20], *(40 + each for each in wobble), *(41.0 + i for i in range(40))]
    rise = max(floor_of(levels).rises(), key=lambda each: each.quiet_before)
    assert rise.quiet_before == pytest.approx(30 / 38, rel=0.25)


def test_line_has_no_quiet_before_it() -> None:
    assert max(rise.quiet_before for rise in floor_of(LINE).rises()) < 0.2


def test_pace_before_compares_with_the_like_time_before() -> None:
    bent = [float(i) if i < 45 else 45 + 4.0 * (i - 45) for i in range(90)]
    at_the_bend = min(floor_of(bent).rises(), key=lambda rise: abs(rise.seconds - 41))
    assert at_the_bend.pace_before == pytest.approx(0.25, abs=0.05)


def test_window_keeps_the_last_blocks_and_the_level_before_them() -> None:
    floor = floor_of([float(i) for i in range(1000)])
    assert len(levels(floor)) == WINDOW_BLOCKS + 1
    assert levels(floor)[-1] == 999.0
    paces = [rise.pace_before for rise in floor.rises()]
    assert min(paces) > 0.8
    assert max(paces) <= 1.0


def test_times_that_cannot_be_told_apart_make_no_rise() -> None:
    floor = KeptFloor(1)
    for value in LINE:
        floor.add(5.0, value)
    assert not list(floor.rises())


def test_restored_floor_sees_the_same_rises() -> None:
    floor = floor_of([*LINE, 60.0, *LINE, 3.5], block_samples=2)
    restored = KeptFloor.from_state(2, floor.to_state())
    assert restored.to_state() == floor.to_state()
    for i, value in enumerate(LINE):
        assert restored.add(200.0 + i, value) == floor.add(200.0 + i, value)
    assert list(restored.rises()) == list(floor.rises())


def test_standstill_before_and_after_a_rise_is_no_part_of_it() -> None:
    ramp = [min(max(i - 24, 0), 24) + 0.001 * i for i in range(72)]
    assert longest(ramp).rising_share == pytest.approx(24 / 72, abs=0.03)


def test_slowing_down_is_seen_behind_a_standstill() -> None:
    slowing = [20 * (1 - math.exp(-i / 12)) for i in range(36)]
    creeping = [0.001 * i for i in range(24)]
    behind = longest([*creeping, *[0.1 + each for each in slowing]])
    assert behind.slowing > 0.05
    assert behind.concavity < 0


def test_of_blocks_the_lowest_counts() -> None:
    floor = KeptFloor(4)
    assert [floor.add(time, value, weight=2) for time, value in ((1.0, 9.0), (3.0, 5.0))] == [
        None,
        (2.0, 5.0),
    ]
