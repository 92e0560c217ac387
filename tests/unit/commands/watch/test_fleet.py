"""Processes over time: what is news, what is a mistake, who is who, and the bounds."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import pytest
from benchmarks.fleet.generator import RUNTIMES, Process, request
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.commands.watch.building import (
    MIB,
    NODE,
    NOW,
    SECOND,
    Built,
    course,
    judged,
    new_fleet,
    rejections,
)

from opentelemetry.instrumentation.memory._commands.analyze.judgement import SeriesJudge
from opentelemetry.instrumentation.memory._commands.sample import sample_from_row
from opentelemetry.instrumentation.memory._commands.watch.series import Series

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_point_that_comes_twice_is_a_duplicate() -> None:
    built = Built().size(7)
    assert rejections(new_fleet(), built, built) == {"duplicate": 1}


def test_two_numbers_of_one_moment_are_a_collision_and_it_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        found = rejections(new_fleet(), Built().size(7), Built().size(8))
    assert found == {"collision": 1}
    assert "service.instance.id=a" in caplog.text


def test_every_process_that_collides_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    fleet = new_fleet()
    with caplog.at_level(logging.WARNING):
        for name in ("a", "b"):
            resource = {"service.instance.id": name}
            for number in range(30):
                fleet.take(Built(resource).size(number).request, NOW)
    assert len(caplog.records) == 2
    assert "service.instance.id=a;" in caplog.text
    assert "service.instance.id=b;" in caplog.text


def test_a_point_of_the_past_is_out_of_order() -> None:
    found = rejections(new_fleet(), Built().size(7, seconds=30), Built().size(8, seconds=15))
    assert found == {"out_of_order": 1}


def test_moments_of_one_request_may_be_in_any_order() -> None:
    built = Built().size(7, seconds=30).size(8, seconds=15).size(9, seconds=45)
    assert rejections(new_fleet(), built) == {}


def test_the_rest_of_a_judged_moment_is_late() -> None:
    fleet = new_fleet()
    fleet.take(Built().size(7).request, NOW)
    fleet.settle(math.inf)
    late = Built().size(3, "process.runtime.memory.heap.used")
    assert rejections(fleet, late) == {"late": 1}


def test_what_was_late_once_is_waited_for_from_then_on() -> None:
    fleet = new_fleet()

    def arrives(number: int, *, is_late: bool) -> dict[str, int]:
        fleet.take(Built().size(300, seconds=15.0 * number).request, NOW)
        if is_late:
            fleet.settle(math.inf)
        name = "process.runtime.memory.heap.used"
        return rejections(fleet, Built().size(100, name, seconds=15.0 * number))

    assert arrives(0, is_late=False) == {}
    assert arrives(1, is_late=True) == {"late": 1}
    assert arrives(2, is_late=False) == {}
    (found,) = fleet.fresh_findings()
    assert found.outcome.moment.sample.partition.python_heap_bytes == 100


def test_a_moment_may_arrive_in_two_requests() -> None:
    fleet = new_fleet()
    fleet.take(Built().size(300).request, NOW)
    fleet.take(Built().size(100, "process.runtime.memory.heap.used").request, NOW)
    fleet.settle(math.inf)
    (found,) = fleet.fresh_findings()
    assert found.outcome.moment.sample.partition.python_heap_bytes == 100


def test_metrics_of_one_collection_may_have_times_of_their_own() -> None:
    fleet = new_fleet()
    built = Built().size(300).size(100, "process.runtime.memory.heap.used", seconds=0.001)
    fleet.take(built.request, NOW)
    fleet.settle(math.inf)
    (found,) = fleet.fresh_findings()
    assert found.outcome.moment.sample.partition.python_heap_bytes == 100


def test_a_moment_that_looks_like_the_last_one_is_judged_at_once() -> None:
    fleet = new_fleet()
    fleet.take(Built().size(7).request, NOW)
    fleet.settle(math.inf)
    fleet.fresh_findings()
    fleet.take(Built().size(7, seconds=15).request, NOW)
    assert len(fleet.fresh_findings()) == 1


def test_a_moment_that_may_be_incomplete_waits() -> None:
    fleet = new_fleet(settle_seconds=2.0)
    fleet.take(Built().size(7).request, NOW)
    fleet.settle(NOW + 1.9)
    assert not fleet.fresh_findings()
    fleet.settle(NOW + 2.1)
    assert len(fleet.fresh_findings()) == 1


def test_processes_that_differ_in_one_identifying_attribute_are_two() -> None:
    fleet = new_fleet()
    fleet.take(Built({**NODE, "process.pid": "1"}).size(7).request, NOW)
    fleet.take(Built({**NODE, "process.pid": "2"}).size(8).request, NOW)
    assert judged(fleet) == 2


def test_another_attribute_or_order_is_the_same_process_and_goes_out_as_it_came_last() -> None:
    fleet = new_fleet()
    fleet.take(Built(NODE).size(7).request, NOW)
    turned = {"service.version": "2", **dict(reversed(NODE.items()))}
    fleet.take(Built(turned).size(8, seconds=15).request, NOW)
    fleet.settle(math.inf)
    (found,) = fleet.fresh_findings()
    assert b"service.version" in found.resource


def test_of_two_processes_of_one_name_the_younger_is_judged() -> None:
    fleet = new_fleet()
    fleet.take(Built().size(7, start=5).request, NOW)
    fleet.take(Built().size(900, start=6, seconds=7).request, NOW)
    assert rejections(fleet, Built().size(8, start=5, seconds=15)) == {"collision": 1}


def test_a_restart_under_the_same_name_begins_anew() -> None:
    fleet = new_fleet()
    course(fleet, [200 * MIB + number * MIB for number in range(600)], start=1)
    assert fleet.states() == {"confirmed": 1}
    began = NOW * SECOND + 600 * 15 * SECOND - 1
    course(fleet, [200 * MIB], start=began, first=600)
    assert fleet.states() == {"warming_up": 1}


def test_a_restart_is_noticed_within_one_request() -> None:
    fleet = new_fleet()
    course(fleet, [200 * MIB + number * MIB for number in range(600)], start=1)
    assert fleet.states() == {"confirmed": 1}
    last = Built().size(800 * MIB, seconds=15.0 * 600, start=1)
    began = NOW * SECOND + 15 * 600 * SECOND + SECOND
    both = last.size(200 * MIB, seconds=15.0 * 601, start=began)
    assert rejections(fleet, both) == {}
    fleet.settle(math.inf)
    assert fleet.states() == {"warming_up": 1}


def test_a_start_that_moves_with_every_point_is_no_restart() -> None:
    fleet = new_fleet()
    for number in range(600):
        at = NOW * SECOND + (15 * number - 1) * SECOND
        built = Built().size(200 * MIB + number * MIB, seconds=15.0 * number, start=at)
        fleet.take(built.request, NOW)
    assert fleet.states() == {"confirmed": 1}


def test_what_comes_late_of_the_process_before_a_restart_is_only_late() -> None:
    fleet = new_fleet()
    course(fleet, [200 * MIB] * 10, start=1)
    course(fleet, [200 * MIB], start=NOW * SECOND + 149 * SECOND, first=10)
    assert rejections(fleet, Built().size(7, seconds=120, start=1)) == {"out_of_order": 1}


def pools(number: int, size: int, *begun: tuple[str, int]) -> list[Built]:
    """Return one moment of a JVM, each pool by itself; they tell apart when they began."""
    return [
        Built().size(
            size,
            "jvm.memory.used",
            seconds=15.0 * number,
            start=start,
            jvm_memory_type="heap",
            jvm_memory_pool_name=name,
        )
        for name, start in begun
    ]


def in_one(requests: list[Built]) -> list[Built]:
    """Return the same as one request."""
    first, *others = requests
    for each in others:
        first.request.MergeFrom(each.request)
    return [first]


EDEN, OLD = ("eden", 1 * SECOND), ("old", 2 * SECOND)


@pytest.mark.parametrize("order", [(EDEN, OLD), (OLD, EDEN)])
@pytest.mark.parametrize("arrange", [list, in_one])
def test_parts_that_began_at_different_times_are_one_process(
    order: tuple[tuple[str, int], ...], arrange: Callable[[list[Built]], list[Built]]
) -> None:
    fleet = new_fleet()
    for number in range(600):
        for built in arrange(pools(number, 200 * MIB + number * MIB, *order)):
            assert rejections(fleet, built) == {}
    fleet.settle(math.inf)
    assert fleet.states() == {"confirmed": 1}


def test_parts_may_change_their_order_from_moment_to_moment() -> None:
    fleet = new_fleet()
    for number in range(600):
        order = (EDEN, OLD) if number % 2 else (OLD, EDEN)
        (built,) = in_one(pools(number, 200 * MIB + number * MIB, *order))
        assert rejections(fleet, built) == {}
    assert fleet.states() == {"confirmed": 1}


def test_a_restart_is_noticed_where_parts_began_at_different_times() -> None:
    fleet = new_fleet()
    for number in range(600):
        for built in pools(number, 200 * MIB + number * MIB, EDEN, OLD):
            fleet.take(built.request, NOW)
    began = NOW * SECOND + 600 * 15 * SECOND - SECOND
    for built in pools(600, 200 * MIB, ("eden", began), ("old", began + 1)):
        fleet.take(built.request, NOW)
    fleet.settle(math.inf)
    assert fleet.states() == {"warming_up": 1}


def test_a_restart_is_noticed_after_the_part_that_told_of_it_is_no_more() -> None:
    fleet = new_fleet()
    for number in range(600):
        parts = (EDEN, OLD) if number < 10 else (OLD,)
        for built in pools(number, 200 * MIB + number * MIB, *parts):
            fleet.take(built.request, NOW)
    fleet.settle(math.inf)
    assert fleet.states() == {"confirmed": 1}
    began = NOW * SECOND + 600 * 15 * SECOND - SECOND
    for built in pools(600, 200 * MIB, ("old", began)):
        fleet.take(built.request, NOW)
    fleet.settle(math.inf)
    assert fleet.states() == {"warming_up": 1}


def test_a_restart_is_noticed_where_two_senders_have_times_of_their_own() -> None:
    fleet = new_fleet()
    began = NOW * SECOND + 600 * 15 * SECOND - SECOND
    for number in range(601):
        start = 1 if number < 600 else began
        size = 200 * MIB + number * MIB
        # The limit, by itself, five seconds after the size.
        for name, value, later in (("usage", size, 0), ("limit", 2**40, 5)):
            built = Built().size(
                value, f"process.memory.{name}", 15.0 * number + later, start=start
            )
            fleet.take(built.request, NOW)
        if number == 599:
            assert fleet.states() == {"confirmed": 1}
    fleet.settle(math.inf)
    assert fleet.states() == {"warming_up": 1}


def test_an_alarm_that_a_restart_ends_is_told_to_be_over() -> None:
    fleet = new_fleet()
    course(fleet, [200 * MIB + number * MIB for number in range(600)], start=1)
    began = NOW * SECOND + 600 * 15 * SECOND - 1
    course(fleet, [200 * MIB] * 100, start=began, first=600)
    assert [event.outcome.news for event in fleet.events(9)][-1] == "recovered"


def test_more_processes_than_allowed_are_refused_and_known_ones_go_on() -> None:
    fleet = new_fleet(max_series=1)
    other = {**NODE, "service.instance.id": "b"}
    assert rejections(fleet, Built().size(7), Built(other).size(7)) == {"series_limit": 1}
    assert rejections(fleet, Built().size(8, seconds=15)) == {}


def test_a_process_that_went_makes_room() -> None:
    fleet = new_fleet(max_series=1, idle_seconds=60)
    fleet.take(Built().size(7).request, NOW)
    fleet.expire(NOW + 61)
    other = {**NODE, "service.instance.id": "b"}
    assert rejections(fleet, Built(other).size(7)) == {}


def test_more_parts_than_a_runtime_has_are_refused() -> None:
    built = Built()
    for number in range(300):
        labels = {"jvm_memory_type": "heap", "jvm_memory_pool_name": str(number)}
        built.size(1, "jvm.memory.used", **labels)
    assert rejections(new_fleet(), built) == {"too_many_points": 44}


def test_points_taken_and_rejected_add_up() -> None:
    fleet = new_fleet()
    built = Built().size(7).size(7).size(8, unit="ms").size(-1).size(9, seconds=15)
    assert rejections(fleet, built) == {"unit": 1, "value": 1, "duplicate": 1}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_state_goes_on_where_it_stopped(runtime: str) -> None:
    process = Process(1, runtime, leak_bytes_per_second=30_000)
    whole, first, second = new_fleet(), new_fleet(), new_fleet()
    for moment in range(900):
        whole.take(request([process], NOW, moment * 15), NOW)
        (first if moment < 450 else second).take(request([process], NOW, moment * 15), NOW)
        if moment == 449:
            first.settle(math.inf)
            (identity,) = first.identities()
            state = first.state_of(identity)
            assert state is not None
            second.restore([Series.from_state(state)], NOW)
    told = [event.outcome.news for event in (*first.events(9), *second.events(9))]
    assert told == [event.outcome.news for event in whole.events(9)]
    assert told[-1] == "confirmed"


def test_what_passes_while_nobody_listens_is_no_silence_of_a_process() -> None:
    before, after = new_fleet(), new_fleet(idle_seconds=60)
    for at, name in ((NOW, "silent"), (NOW + 50, "talking")):
        built = Built({"service.instance.id": name}).size(7, seconds=at - NOW)
        before.take(built.request, at)
    states = [before.state_of(identity) for identity in before.identities()]
    begins = NOW + 7 * 24 * 3600
    after.restore([Series.from_state(state) for state in states if state], begins)
    # It had been silent for 50 s before, and its 60 s are over now.
    after.expire(begins + 11)
    assert ["talking" in identity for identity in after.identities()] == [True]
    after.expire(begins + 61)
    assert not after.identities()


@pytest.mark.parametrize("other", [{}, {"service.version": "2"}], ids=["same", "other resource"])
def test_a_change_of_state_that_was_not_sent_is_told_by_the_next_start(
    other: dict[str, str],
) -> None:
    fleet = new_fleet()
    course(fleet, [200 * MIB + number * MIB for number in range(600)], start=1)
    built = Built({**NODE, **other}).size(800 * MIB, seconds=15.0 * 600, start=1)
    fleet.take(built.request, NOW)
    fleet.untell()
    assert not fleet.events(9)
    course(fleet, [900 * MIB], start=1, first=601)
    assert [event.outcome.news for event in fleet.events(9)] == ["confirmed"]


def test_a_resident_set_is_judged_as_analyze_judges_it() -> None:
    fleet, recorded = new_fleet(), SeriesJudge()
    for number in range(900):
        size = 200 * MIB + number * MIB // 2 + number % 7 * MIB
        fleet.take(Built().size(size, seconds=15.0 * number).request, NOW)
        recorded.add(sample_from_row(NOW + 15.0 * number, size, None, None, None, None))
    fleet.settle(math.inf)
    confirmed = [each.outcome for each in fleet.events(9) if each.outcome.news == "confirmed"]
    assert tuple(each.time / SECOND for each in confirmed) == recorded.judgement().alarms_seconds
    assert confirmed


@given(st.lists(st.integers(0, 40), max_size=30))
def test_in_whatever_order_moments_arrive_none_is_judged_twice(order: list[int]) -> None:
    fleet = new_fleet()
    times = []
    for number in order:
        fleet.take(Built().size(7, seconds=15.0 * number).request, NOW)
        fleet.settle(math.inf)
        times += [each.outcome.time for each in fleet.fresh_findings()]
    assert times == sorted(set(times))
