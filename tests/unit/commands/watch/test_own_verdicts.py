"""Processes that judge themselves are passed over, for as long as they do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.unit.commands.watch.building import MIB, NOW, Built, course, judged, new_fleet

from opentelemetry.instrumentation.memory._commands.watch.series import Series

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory._commands.watch.fleet import Fleet


def with_own_verdict(built: Built, seconds: float = 0.0) -> Built:
    return built.size(0.1, "process.memory.leak.risk", seconds=seconds, unit="1")


def restored(fleet: Fleet, **settings: float) -> Fleet:
    """Return what a restart makes of a fleet of one."""
    (identity,) = fleet.identities()
    state = fleet.state_of(identity)
    assert state is not None
    after = new_fleet(**settings)
    after.restore([Series.from_state(json.loads(json.dumps(state)))], NOW)
    return after


def test_a_process_that_judges_itself_is_passed_over() -> None:
    fleet = new_fleet()
    fleet.take(with_own_verdict(Built().size(7)).request, NOW)
    assert judged(fleet) == 0
    assert fleet.states() == {"judges_itself": 1}


def test_a_process_that_judges_itself_is_judged_when_told_to() -> None:
    fleet = new_fleet(judge_all=True)
    fleet.take(with_own_verdict(Built().size(7)).request, NOW)
    assert judged(fleet) == 1


@pytest.mark.parametrize("seconds", [0, 15, 300, 600])
def test_a_process_that_judged_itself_minutes_ago_is_passed_over(seconds: int) -> None:
    fleet = new_fleet()
    fleet.take(with_own_verdict(Built().size(7)).request, NOW)
    fleet.take(Built().size(8, seconds=seconds).request, NOW)
    assert judged(fleet) == 0


@pytest.mark.parametrize("after", [lambda fleet: fleet, restored])
def test_a_process_that_judges_itself_no_more_is_judged_here(
    after: Callable[[Fleet], Fleet],
) -> None:
    fleet = new_fleet()
    fleet.take(with_own_verdict(Built().size(200 * MIB)).request, NOW)
    fleet = after(fleet)
    course(fleet, [200 * MIB + number * MIB for number in range(600)], start=1)
    assert fleet.states() == {"confirmed": 1}


def test_a_process_that_goes_on_to_judge_itself_is_never_judged_here() -> None:
    fleet = new_fleet()
    for number in range(100):
        built = with_own_verdict(Built().size(number, seconds=60.0 * number), 60.0 * number)
        fleet.take(built.request, NOW)
        assert judged(fleet) == 0
    assert fleet.states() == {"judges_itself": 1}


def test_a_process_that_judges_itself_again_is_passed_over_again() -> None:
    fleet = new_fleet()
    course(fleet, [200 * MIB] * 100, start=1)
    fleet.fresh_findings()
    fleet.take(with_own_verdict(Built().size(7, seconds=1500), 1500).request, NOW)
    fleet.take(Built().size(8, seconds=1515).request, NOW)
    assert judged(fleet) == 0
    assert fleet.states() == {"judges_itself": 1}


def test_a_verdict_of_its_own_that_comes_late_takes_nothing_back() -> None:
    fleet = new_fleet()
    course(fleet, [200 * MIB + number * MIB for number in range(600)], start=1)
    fleet.take(with_own_verdict(Built(), seconds=60).request, NOW)
    assert fleet.states() == {"confirmed": 1}


def test_a_restored_process_that_judged_itself_is_judged_when_told_to() -> None:
    fleet = new_fleet()
    fleet.take(with_own_verdict(Built().size(7)).request, NOW)
    after = restored(fleet, judge_all=True)
    after.take(with_own_verdict(Built().size(8, seconds=15), seconds=15).request, NOW)
    assert judged(after) == 1
    assert "judges_itself" not in after.states()


def test_a_verdict_of_a_watch_that_comes_back_is_nobodys_own() -> None:
    fleet = new_fleet()
    ours = Built(scope="opentelemetry.instrumentation.memory.watch")
    fleet.take(ours.size(0.9, "process.memory.leak.risk", unit="1").request, NOW)
    fleet.take(Built().size(7).request, NOW)
    assert judged(fleet) == 1
