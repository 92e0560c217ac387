"""At services made up of numbers, intervals contain the truth about as often as they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from route_coverage import SERVICES, Answer, answers
from route_traffic import KEPT_BYTES, Circumstances, watched

SITTINGS = 8


def sittings(circumstances: Circumstances) -> list[Answer]:
    return [each for seed in range(SITTINGS) for each in answers(circumstances, seed, ())]


@pytest.mark.parametrize("clients", [1, 20, 50])
def test_two_leaking_routes_of_nine_are_told_within_three_minutes(clients: int) -> None:
    found = sittings(Circumstances(clients=clients))
    told = [each.route for each in found if each.is_told]
    assert set(told) == set(KEPT_BYTES)
    assert told.count("/cart") == SITTINGS
    assert told.count("/search") >= 0.6 * SITTINGS
    # Of 72 intervals that are right 95 times in 100, fewer are in less than one run of a thousand.
    assert sum(each.is_inside for each in found) >= 62


@pytest.mark.parametrize(
    "name",
    ["no leak", "two innocent routes hold memory for 2 s", "8 MB fill up at the beginning"],
)
def test_no_innocent_route_is_told(name: str) -> None:
    found = sittings(SERVICES[name])
    assert not [each for each in found if each.is_told and not each.kept_bytes]


def test_a_service_made_up_of_numbers_keeps_what_it_is_said_to_keep() -> None:
    quiet = Circumstances(held_bytes=0, wander_bytes=0, jitter_bytes=0, late_seconds=1e-9)
    record = watched(1, replace(quiet, kept_bytes={"/cart": 20_000.0}), seconds=60)
    carts = sum(record.columns["/cart"])
    assert sum(record.growth) == pytest.approx(20_000 * carts, rel=0.05)
    assert abs(sum(record.in_flight)) <= quiet.clients
