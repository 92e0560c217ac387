from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._sampling.schedule import Circumstances, Schedule

SHORTEST, LONGEST, BUDGET = 0.5, 10.0, 0.0003

QUIET = Circumstances()
BUSY = Circumstances(cpu_share=0.9)
CHANGING = Circumstances(resident_change=0.2)
NEAR_LIMIT = Circumstances(limit_utilization=0.97)
AT_RISK = Circumstances(risk=0.6)

shares = st.floats(0, 64)
costs = st.floats(0, 10)
circumstances = st.builds(
    Circumstances,
    cpu_share=shares,
    resident_change=shares,
    limit_utilization=shares,
    risk=st.floats(0, 1),
    sample_cost_seconds=costs,
)
bounds = st.tuples(st.floats(0.05, 3600), st.floats(0.05, 3600)).map(sorted)
budgets = st.floats(0.00001, 1)

reproducible = settings(derandomize=True, deadline=None)


def schedule() -> Schedule:
    return Schedule(SHORTEST, LONGEST, BUDGET)


def settled(now: Circumstances) -> float:
    """Return the interval after the circumstances have lasted for long."""
    each = schedule()
    for _ in range(20):
        interval = each.next_interval_seconds(now)
    return interval


def test_quiet_process_is_sampled_at_the_longest_interval() -> None:
    assert settled(QUIET) == LONGEST


@pytest.mark.parametrize("urgent", [BUSY, CHANGING, NEAR_LIMIT, AT_RISK])
def test_urgency_shortens_the_interval_at_once(urgent: Circumstances) -> None:
    each = schedule()
    for _ in range(20):
        each.next_interval_seconds(QUIET)
    assert each.next_interval_seconds(urgent) == SHORTEST


@pytest.mark.parametrize(
    "slight",
    [
        Circumstances(cpu_share=0.2),
        Circumstances(resident_change=0.02),
        Circumstances(limit_utilization=0.88),
        Circumstances(risk=0.4),
    ],
)
def test_slight_urgency_lies_in_between(slight: Circumstances) -> None:
    assert SHORTEST < settled(slight) < LONGEST


@pytest.mark.parametrize(
    "noise",
    [
        Circumstances(cpu_share=0.04),
        Circumstances(resident_change=0.004),
        Circumstances(limit_utilization=0.79),
        Circumstances(risk=0.29),
    ],
)
def test_noise_changes_nothing(noise: Circumstances) -> None:
    assert settled(noise) == LONGEST


def test_quiet_after_a_burst_lengthens_by_doubling() -> None:
    each = schedule()
    each.next_interval_seconds(BUSY)
    intervals = [each.next_interval_seconds(QUIET) for _ in range(6)]
    assert intervals == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_most_urgent_circumstance_decides() -> None:
    both = Circumstances(cpu_share=0.9, resident_change=0.01, limit_utilization=0.82)
    assert settled(both) == settled(BUSY)


def test_dear_sample_is_taken_as_seldom_as_the_budget_asks() -> None:
    # 0.9 ms at four fifths of 0.03 % of a core: every 3.75 s, however busy the process is.
    assert settled(replace(BUSY, sample_cost_seconds=0.0009)) == pytest.approx(3.75)


def test_raised_risk_buys_one_percent_of_a_core() -> None:
    each = schedule()
    assert each.share_of_core(0.49) == BUDGET
    assert each.share_of_core(0.5) == 0.01
    assert settled(replace(AT_RISK, sample_cost_seconds=0.0009)) == SHORTEST


def test_raised_risk_never_buys_less_than_the_budget() -> None:
    assert Schedule(SHORTEST, LONGEST, 0.05).share_of_core(1.0) == 0.05


@reproducible
@given(bounds, budgets, st.lists(circumstances, min_size=1))
def test_interval_stays_within_its_bounds(
    limits: list[float], budget: float, story: list[Circumstances]
) -> None:
    each = Schedule(*limits, budget)
    for now in story:
        assert limits[0] <= each.next_interval_seconds(now) <= limits[1]


@reproducible
@given(bounds, budgets, st.lists(circumstances, min_size=1))
def test_budget_holds_unless_the_longest_interval_is_reached(
    limits: list[float], budget: float, story: list[Circumstances]
) -> None:
    each = Schedule(*limits, budget)
    for now in story:
        interval = each.next_interval_seconds(now)
        share = each.share_of_core(now.risk)
        affords = now.sample_cost_seconds / interval <= 0.8 * share * (1 + 1e-9)
        assert affords or interval == limits[1]


@reproducible
@given(bounds, budgets, st.lists(circumstances), circumstances, circumstances)
def test_more_urgency_never_lengthens_the_interval(
    limits: list[float],
    budget: float,
    story: list[Circumstances],
    one: Circumstances,
    other: Circumstances,
) -> None:
    more = Circumstances(
        cpu_share=max(one.cpu_share, other.cpu_share),
        resident_change=max(one.resident_change, other.resident_change),
        limit_utilization=max(one.limit_utilization, other.limit_utilization),
        risk=max(one.risk, other.risk),
        sample_cost_seconds=one.sample_cost_seconds,
    )
    calm, urgent = Schedule(*limits, budget), Schedule(*limits, budget)
    for now in story:
        calm.next_interval_seconds(now)
        urgent.next_interval_seconds(now)
    shortened = urgent.next_interval_seconds(more)
    assert shortened <= calm.next_interval_seconds(one) * (1 + 1e-9)


@reproducible
@given(bounds, budgets, st.lists(circumstances), circumstances)
def test_interval_at_most_doubles_unless_the_budget_asks_for_more(
    limits: list[float], budget: float, story: list[Circumstances], now: Circumstances
) -> None:
    each = Schedule(*limits, budget)
    last = limits[0]
    for before in story:
        last = each.next_interval_seconds(before)
    affordable = now.sample_cost_seconds / (0.8 * each.share_of_core(now.risk))
    assume(affordable <= 2 * last)
    assert each.next_interval_seconds(now) <= 2 * last
