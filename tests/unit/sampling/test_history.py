from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._sampling.history import TIER_SAMPLES, TIERS, History
from opentelemetry.instrumentation.memory.model import MemorySample

CAPACITY = TIER_SAMPLES * TIERS
SPAN = TIER_SAMPLES * (2**TIERS - 1)


def kept(length: int) -> list[float]:
    """Return the times that remain of samples taken at 0, 1, 2, … seconds."""
    history = History()
    for second in range(length):
        history.append(MemorySample(taken_at_seconds=float(second), pid=1))
    return [sample.taken_at_seconds for sample in history.samples()]


def test_empty_history_has_no_samples() -> None:
    assert History().samples() == ()


@pytest.mark.parametrize("length", [1, 63, 64, 65])
def test_first_samples_are_all_kept(length: int) -> None:
    assert kept(length) == list(range(length))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 3 * SPAN))
def test_any_length_is_bounded_in_order_and_newest_64_exact(length: int) -> None:
    times = kept(length)
    assert len(times) <= CAPACITY
    assert all(before < after for before, after in pairwise(times))
    newest = range(max(length - TIER_SAMPLES, 0), length)
    assert times[-TIER_SAMPLES:] == list(newest)


@pytest.mark.parametrize("length", [SPAN, 2 * SPAN, 5 * SPAN])
def test_long_history_spans_sixteen_thousand_intervals(length: int) -> None:
    times = kept(length)
    assert times[-1] - times[0] >= 0.95 * SPAN
    assert len(times) >= 0.95 * CAPACITY


def test_gaps_grow_with_age_and_never_beyond_the_coarsest_tier() -> None:
    gaps = [after - before for before, after in pairwise(kept(2 * SPAN))]
    # Where two tiers meet a gap may be shorter: what was handed on last is not always kept.
    inner = [gap for index, gap in enumerate(gaps, start=1) if index % TIER_SAMPLES]
    assert inner == sorted(inner, reverse=True)
    assert set(inner) == {2**tier for tier in range(TIERS)}
    assert max(gaps) <= 2**TIERS
