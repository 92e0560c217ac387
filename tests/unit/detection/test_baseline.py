from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import MIB

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory.model import Segment

from opentelemetry.instrumentation.memory._detection.baseline import (
    HOURS,
    Baseline,
    SegmentBaseline,
    hour_of_week,
)

LIVE: tuple[Segment, ...] = ("python_heap", "native_heap", "other_anonymous")
BYTES = st.integers(0, 2**60)


@st.composite
def segment_baselines(draw: st.DrawFn) -> SegmentBaseline:
    low, level, high = sorted(draw(st.lists(BYTES, min_size=3, max_size=3)))
    hours = st.lists(st.integers(0, high), min_size=HOURS, max_size=HOURS)
    visits = st.lists(st.integers(0, 1000), min_size=HOURS, max_size=HOURS)
    seconds = draw(st.floats(0, 1e10))
    return SegmentBaseline(level, seconds, low, high, tuple(draw(hours)), tuple(draw(visits)))


baselines = st.builds(Baseline, st.dictionaries(st.sampled_from(LIVE), segment_baselines()))
few = settings(derandomize=True, deadline=None, max_examples=40)


def known(high: int, hours: dict[int, int] | None = None, visits: int = 2) -> Baseline:
    """Return what is known of a native heap of so many MiB, with these highs at some hours."""
    highs = hours or {}
    return Baseline(
        {
            "native_heap": SegmentBaseline(
                level_bytes=high * MIB,
                warm_up_seconds=60.0,
                low_bytes=high * MIB // 2,
                high_bytes=high * MIB,
                hour_high_bytes=tuple(highs.get(hour, 0) * MIB for hour in range(HOURS)),
                hour_visits=tuple(visits * (hour in highs) for hour in range(HOURS)),
            )
        }
    )


def excess(baseline: Baseline, level: float, hour: int | None = None) -> float | None:
    """Return the excess of a native heap, in MiB."""
    value = baseline.excess("native_heap", level * MIB, hour)
    return None if value is None else value / MIB


# --- hours -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epoch_seconds", "hour"),
    [
        (0, 72),  # Thursday, 1 January 1970, midnight
        (3599.9, 72),
        (3600, 73),
        (1_704_067_200, 0),  # Monday, 1 January 2024
        (1_704_067_199, 167),
        (-1, 71),
    ],
)
def test_week_begins_on_monday_in_utc(epoch_seconds: float, hour: int) -> None:
    assert hour_of_week(epoch_seconds) == hour


# --- the levels that a detector sees -----------------------------------------------------------


def test_segment_that_nothing_is_known_of_is_seen_as_it_is() -> None:
    assert known(100).excess("python_heap", 5.0, 3) == 5.0
    assert Baseline({}).excess("native_heap", 5.0, None) == 5.0


def test_growth_up_to_the_normal_high_looks_flat_and_beyond_it_counts() -> None:
    seen = [excess(known(100), level) for level in (1, 50, 100, 105, 106, 120, 205)]
    assert seen == pytest.approx([100, 100, 100, 100, 101, 115, 200])


def test_night_has_a_high_of_its_own() -> None:
    nights = {day * 24 + hour: 40 for day in range(7) for hour in range(6)}
    days = {day * 24 + hour: 100 for day in range(7) for hour in range(6, 24)}
    baseline = known(100, nights | days)
    assert excess(baseline, 70, hour=3) == pytest.approx(125)
    assert excess(baseline, 70, hour=12) == pytest.approx(100)
    assert excess(baseline, 70) == pytest.approx(100)


def test_hour_in_which_load_comes_or_goes_says_nothing() -> None:
    hours = {day * 24 + hour: 40 if hour < 6 else 100 for day in range(7) for hour in range(24)}
    baseline = known(100, hours)
    silent = [hour for hour in range(24) if excess(baseline, 70, hour) is None]
    assert silent == [0, 5, 6, 23]


def test_level_that_changes_at_most_hours_is_no_season() -> None:
    hours = {hour: 40 + 60 * (hour % 2) for hour in range(HOURS)}
    baseline = known(100, hours)
    assert {excess(baseline, 90, hour) for hour in range(HOURS)} == {100}


def test_hour_that_was_seen_once_is_not_known() -> None:
    once = known(100, dict.fromkeys(range(6), 40), visits=1)
    assert excess(once, 70, hour=3) == pytest.approx(100)


def test_hour_of_the_day_stands_in_for_an_hour_of_the_week_not_seen() -> None:
    days = {day * 24 + hour: 40 for day in range(3) for hour in range(24)}
    baseline = known(100, days | {20: 100}, visits=1)
    saturday = 5 * 24
    assert excess(baseline, 70, saturday + 3) == pytest.approx(125)
    assert excess(baseline, 70, saturday + 19) is None
    assert excess(baseline, 70, saturday + 20) is None


@few
@given(baselines, st.sampled_from((*LIVE, "retained")), st.floats(0, 2**60), st.none() | BYTES)
def test_excess_is_a_level_or_silence(
    baseline: Baseline, segment: Segment, value: float, hour: int | None
) -> None:
    level = baseline.excess(segment, value, hour)
    assert level is None or (math.isfinite(level) and level >= 0)
    higher = baseline.excess(segment, value * 2, hour)
    assert level is None or (higher is not None and higher >= level)
    assert hour is not None or level is not None


# --- two of them -------------------------------------------------------------------------------


def test_wider_range_and_longer_warm_up_count() -> None:
    some = SegmentBaseline(50, 10.0, 40, 60)
    other = SegmentBaseline(45, 20.0, 42, 70)
    assert some.merged(other) == SegmentBaseline(50, 20.0, 40, 70)


@few
@given(baselines, baselines, baselines)
def test_merging_knows_no_order(first: Baseline, second: Baseline, third: Baseline) -> None:
    assert first.merged(second) == second.merged(first)
    assert first.merged(second).merged(third) == first.merged(second.merged(third))
    assert first.merged(first) == first


# --- as plain values ---------------------------------------------------------------------------


@few
@given(baselines)
def test_state_survives_json_and_is_small(baseline: Baseline) -> None:
    text = json.dumps(baseline.to_state())
    assert len(text) < 32 * 1024
    restored = Baseline.from_state(json.loads(text))
    assert restored == baseline
    assert restored.excess("native_heap", 2.0**40, 7) == baseline.excess("native_heap", 2.0**40, 7)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(LIVE), inner),
    max_leaves=20,
)


@settings(derandomize=True, deadline=None)
@given(anything)
def test_arbitrary_json_is_refused_and_nothing_worse(state: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        Baseline.from_state(state)
    with pytest.raises(ValueError, match=r"."):
        Baseline.from_state({"version": 1, "segments": {"native_heap": state}})


FIELDS = sorted(known(100).to_state()["segments"]["native_heap"])


@settings(derandomize=True, deadline=None)
@given(st.sampled_from(FIELDS), anything)
def test_damaged_field_is_refused_and_nothing_worse(field: str, instead: object) -> None:
    state = known(100).to_state()
    state["segments"]["native_heap"][field] = instead
    try:
        baseline = Baseline.from_state(state)
    except ValueError:
        return
    # What was put there happens to be allowed.
    assert Baseline.from_state(baseline.to_state()) == baseline


@pytest.mark.parametrize(
    "change",
    [
        {"level_bytes": 101 * MIB},
        {"low_bytes": 101 * MIB},
        {"high_bytes": 2**60 + 1},
        {"high_bytes": 100.0 * MIB},
        {"low_bytes": -1},
        {"low_bytes": False},
        {"warm_up_seconds": math.nan},
        {"warm_up_seconds": math.inf},
        {"warm_up_seconds": -1.0},
        {"warm_up_seconds": 1},
        {"hour_high_bytes": (0,) * 167},
        {"hour_high_bytes": (101 * MIB,) * HOURS},
        {"hour_visits": (1001,) * HOURS},
        {"hour_visits": ("1",) * HOURS},
    ],
    ids=str,
)
def test_impossible_figure_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="outside of what is possible"):
        replace(known(100).segments["native_heap"], **change)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": True},
        {"version": "1"},
        {"version": None},
        {"segments": []},
        {"segments": {"stack": {}}},
        {"segments": {"native_heap": {}}},
    ],
    ids=str,
)
def test_state_of_another_kind_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Baseline.from_state({**known(100).to_state(), **change})


def test_state_with_a_field_too_many_is_refused() -> None:
    state = known(100).to_state()
    state["segments"]["native_heap"]["extra"] = 1
    with pytest.raises(ValueError, match="extra"):
        Baseline.from_state(state)
