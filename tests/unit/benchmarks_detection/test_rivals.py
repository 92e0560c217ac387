"""The rivals do what they are known for, on cases that leave no doubt."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from rivals import RIVALS, RatioRule, change_points
from windows import BackwardLines, Blocks, SlidingLine

from opentelemetry.instrumentation.memory.model import MemorySample, Partition

MIB = 1 << 20


def sample(second: float, mib: float, *, limit: int | None = 512 * MIB) -> MemorySample:
    level = round(mib * MIB)
    return MemorySample(
        taken_at_seconds=second,
        pid=1,
        resident_bytes=level,
        partition=Partition(other_anonymous_bytes=level),
        limit_bytes=limit,
    )


def alarms(name: str, levels: list[float], interval: float = 10.0) -> list[bool]:
    rival = RIVALS[name]()
    return [rival.update(sample(i * interval, level)) for i, level in enumerate(levels)]


CATCHES_STEEP_LINES = sorted(set(RIVALS) - {"ratio rule", "Precog, 7 d", "Precog, scaled"})


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_flat_memory_alarms_nobody(name: str) -> None:
    assert not any(alarms(name, [80.0] * 720))


@pytest.mark.parametrize("name", CATCHES_STEEP_LINES)
def test_steep_line_towards_the_limit_alarms(name: str) -> None:
    noise = np.random.default_rng(1)
    levels = [100 + 0.55 * i + noise.normal(0, 0.5) for i in range(720)]
    assert alarms(name, levels)[-1]


@pytest.mark.parametrize("name", ["Precog, 7 d", "Precog, scaled"])
def test_precog_finds_a_trend_longer_than_any_before_it(name: str) -> None:
    noise = np.random.default_rng(1)
    flat = [100 + noise.normal(0, 0.5) for _ in range(360)]
    levels = flat + [100 + 1.0 * i + noise.normal(0, 0.5) for i in range(360)]
    assert alarms(name, levels)[-1]


@pytest.mark.parametrize("name", ["Mann-Kendall, scaled", "deriv 1h > 0", "LBR, 7 d"])
def test_trend_rules_take_a_warm_up_for_a_leak(name: str) -> None:
    noise = np.random.default_rng(2)
    levels = [60 + 60 * (1 - math.exp(-i / 150)) + noise.normal(0, 0.2) for i in range(720)]
    assert any(alarms(name, levels)[72:])


def test_prometheus_rules_have_no_data_without_a_limit() -> None:
    rival = RIVALS["predict_linear 1h, 4 h"]()
    assert not any(rival.update(sample(10.0 * i, 100 + i, limit=None)) for i in range(720))


def heap(second: float, used: int, committed: int) -> MemorySample:
    return MemorySample(second, 1, heap_used_bytes=used, heap_committed_bytes=committed)


def test_ratio_rule_needs_three_rises_within_five_minutes() -> None:
    rule = RatioRule()
    ratios = [(0, 80), (60, 86), (120, 88), (180, 90)]
    assert [rule.update(heap(t, used, 100)) for t, used in ratios] == [False, False, False, True]
    assert not rule.update(heap(600, 95, 100))


def test_ratio_rule_is_silent_on_a_heap_that_is_always_committed_ahead() -> None:
    rule = RatioRule()
    assert not any(rule.update(heap(10 * i, 80 + i, 200 + 2 * i)) for i in range(200))


def test_sliding_line_agrees_with_least_squares_over_its_window() -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(1, 20, 400))
    values = 5e8 + 3e4 * times + rng.normal(0, 1e6, 400)
    line = SlidingLine()
    for time, value in zip(times, values, strict=True):
        line.add(time, value, 600)
    inside = times >= times[-1] - 600
    slope, level = np.polyfit(times[inside] - times[-1], values[inside], 1)
    assert line.slope() == pytest.approx(slope, rel=1e-6)
    assert line.predict(60) == pytest.approx(level + 60 * slope, rel=1e-9)


def test_blocks_keep_the_mean_and_stay_bounded() -> None:
    blocks = Blocks(60)
    for i in range(6400):
        blocks.add(float(i), float(i % 7))
    times, values = blocks.arrays()
    assert 60 <= len(blocks) < 120
    assert np.all(np.diff(times) > 0)
    assert values.mean() == pytest.approx(3.0, abs=0.01)


def test_backward_lines_agree_with_least_squares_over_every_tail() -> None:
    rng = np.random.default_rng(4)
    times = np.arange(50.0)
    values = 0.3 + 0.004 * times + rng.normal(0, 0.01, 50)
    lines = BackwardLines(times, values)
    for begin in (0, 20, 40):
        slope, level = np.polyfit(times[begin:] - times[-1], values[begin:], 1)
        assert lines.slope[begin] == pytest.approx(slope)
        assert lines.now[begin] == pytest.approx(level)
        fitted = level + slope * (times[begin:] - times[-1])
        unexplained = ((values[begin:] - fitted) ** 2).sum() / values[begin:].var() / (50 - begin)
        assert lines.r_squared[begin] == pytest.approx(1 - unexplained)


def test_exit_time_is_when_the_line_meets_the_ceiling() -> None:
    lines = BackwardLines(np.arange(10.0), np.arange(10.0) / 100)
    assert lines.exit_seconds(1.0)[0] == pytest.approx(91.0)
    falling = BackwardLines(np.arange(10.0), -np.arange(10.0))
    assert math.isinf(falling.exit_seconds(1.0)[0])


def test_change_point_is_where_the_level_jumps() -> None:
    values = np.array([0.2] * 40 + [0.4] * 40) + np.tile([0.0, 0.001], 40)
    assert list(change_points(values)) == [0, 40]


def test_no_rival_keeps_an_alarm_through_a_long_fall() -> None:
    levels = [*itertools.repeat(100.0, 100), *(100 + i for i in range(200))]
    levels += [300 - 0.5 * i for i in range(500)]
    for name in RIVALS:
        assert not alarms(name, levels)[-1], name
