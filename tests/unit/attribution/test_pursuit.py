"""Of many routes the ones that keep memory get a column, however few requests they get."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from opentelemetry.instrumentation.memory._attribution.pursuit import pursued
from opentelemetry.instrumentation.memory._attribution.regression import Watch
from opentelemetry.instrumentation.memory._attribution.route_inquiry import growth_by_route
from opentelemetry.instrumentation.memory._attribution.route_record import (
    Finished,
    RouteRecord,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from opentelemetry.instrumentation.memory.evidence import RouteGrowth

INTERVALS = 360
ROUTES = 40
# At place 30 of 40, with one request in 130.
RARE, SECOND = "/dd", "/ai"


def run(steps: Generator[Any, None, Any]) -> Any:
    def whole() -> Generator[Any, None, None]:
        answers.append((yield from steps))

    answers: list[Any] = []
    list(whole())
    return answers[0]


def sitting(
    seed: int,
    kept_bytes: Mapping[str, float],
    *,
    beside: Mapping[str, str] | None = None,
    held_bytes: float = 0.0,
) -> RouteRecord:
    """Return a record of 40 routes, each asked for less often than the one before.

    Args:
        seed: Of all that is random.
        kept_bytes: What a request keeps on average, by route.
        beside: Routes that are asked for whenever another one is.
        held_bytes: What a request of the busiest route keeps until three intervals later.
    """
    rnd = random.Random(seed)  # noqa: S311 - a seed, not a secret
    names = [f"/{chr(97 + place // 10)}{chr(97 + place % 10)}" for place in range(ROUTES)]
    weights = [1 / (place + 1) for place in range(ROUTES)]
    record, passing, held = RouteRecord(), 0.0, [0, 0, 0]
    for _ in range(INTERVALS):
        counts = Counter(rnd.choices(names, weights, k=rnd.randrange(40, 120)))
        for name, leader in (beside or {}).items():
            counts[name] = counts[leader]
        kept = sum(
            size * rnd.uniform(0.5, 1.5)
            for name, size in kept_bytes.items()
            for _ in range(counts[name])
        )
        before, passing = passing, rnd.gauss(0, 100_000)
        grown = kept + passing - before + held_bytes * (counts[names[0]] - held[0])
        held = [*held[1:], counts[names[0]]]
        record.append(0.5, grown, Finished(counts, counts.total(), counts.total()))
    return record


def told(record: RouteRecord) -> dict[str, RouteGrowth]:
    return {each.route: each for each in run(growth_by_route(record))}


@pytest.mark.parametrize("seed", range(12))
def test_a_route_that_few_ask_for_is_told_and_no_other(seed: int) -> None:
    found = told(sitting(seed, {RARE: 50_000.0}))
    assert set(found) == {RARE}
    half = (found[RARE].most_bytes - found[RARE].least_bytes) / 2
    # Twice the 95 % interval: this must hold for each of a dozen seeds.
    assert abs(found[RARE].bytes_per_request - 50_000) <= 2 * half


@pytest.mark.parametrize("seed", range(6))
def test_of_two_leaking_routes_the_smaller_leak_is_found_beside_the_larger(seed: int) -> None:
    assert set(told(sitting(seed, {RARE: 50_000.0, SECOND: 20_000.0}))) == {RARE, SECOND}


@pytest.mark.parametrize("held_bytes", [0.0, 50_000.0])
def test_no_route_of_many_is_told_where_none_leaks(held_bytes: float) -> None:
    for seed in range(12):
        assert told(sitting(seed, {}, held_bytes=held_bytes)) == {}


def test_a_busy_route_is_not_told_for_a_rare_one_that_comes_with_it() -> None:
    for seed in range(6):
        record = sitting(seed, {RARE: 50_000.0}, beside={"/da": RARE})
        # Nobody can tell which of the two it is.
        assert set(told(record)) <= {f"/da + {RARE}", f"{RARE} + /da"}
        assert told(record)


def test_what_explains_growth_is_chosen_and_what_does_not_is_left_out() -> None:
    rnd = random.Random(1)  # noqa: S311 - a seed, not a secret
    columns = [[float(rnd.randrange(9)) for _ in range(INTERVALS)] for _ in range(60)]
    growth = [
        3000 * large + 1000 * small + rnd.gauss(0, 3000)
        for large, small in zip(columns[41], columns[57], strict=True)
    ]
    chosen = run(pursued(Watch([0.5] * INTERVALS, growth, columns), 20))
    assert chosen[:2] == [41, 57]
    assert len(chosen) <= 5


def test_what_growth_goes_down_with_is_never_chosen() -> None:
    rnd = random.Random(3)  # noqa: S311 - a seed, not a secret
    up, down = ([float(rnd.randrange(20)) for _ in range(200)] for _ in range(2))
    growth = [1e4 * kept - 1e4 * freed for kept, freed in zip(up, down, strict=True)]
    assert run(pursued(Watch([0.5] * 200, growth, [down, up], []), 2)) == [1]


def test_no_more_are_chosen_than_asked_for() -> None:
    rnd = random.Random(2)  # noqa: S311 - a seed, not a secret
    columns = [[float(rnd.randrange(9)) for _ in range(INTERVALS)] for _ in range(30)]
    growth = [float(sum(row)) for row in zip(*columns, strict=True)]
    assert len(run(pursued(Watch([0.5] * INTERVALS, growth, columns), 7))) == 7


@pytest.mark.parametrize("length", [0, 1, 5])
def test_of_too_little_nothing_is_concluded(length: int) -> None:
    columns = [[1.0] * length for _ in range(30)]
    watch = Watch([0.5] * length, [0.0] * length, columns)
    assert run(pursued(watch, 20)) == []
