"""How often an interval contains the truth, and how often an innocent route is told.

Hundreds of sittings at services made up of numbers (`route_traffic.py`), three minutes each, with a
look every twenty seconds. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from bisect import bisect_right
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from route_traffic import KEPT_BYTES, Circumstances, shares_of_many, watched

from opentelemetry.instrumentation.memory._attribution.regression import fit
from opentelemetry.instrumentation.memory._attribution.route_inquiry import (
    chosen_groups,
    groups_of,
    growth_by_route,
    watch_of,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from opentelemetry.instrumentation.memory._attribution.route_record import RouteRecord

_USUAL: Final = Circumstances()
_FADING: Final = {"/home": (20_000.0, 2.0), "/pay": (8_000.0, 2.0)}
_MANY: Final = replace(_USUAL, shares=shares_of_many(40, {"/cart": 24, "/search": 8}))
SERVICES: Final = {
    "1 client": replace(_USUAL, clients=1),
    "5 clients": replace(_USUAL, clients=5),
    "10 clients": replace(_USUAL, clients=10),
    "20 clients": _USUAL,
    "50 clients": replace(_USUAL, clients=50),
    "no leak": replace(_USUAL, kept_bytes={}),
    "requests of 0.3 s": replace(_USUAL, service_seconds=0.3),
    "load up and down by half, each minute": replace(_USUAL, load_swing=0.5),
    "8 MB fill up at the beginning": replace(_USUAL, warm_up_bytes=8e6),
    "tables of 50 MB and 5 MB are loaded": replace(_USUAL, tables=((70.0, 50e6), (120.0, 5e6))),
    "buffers of 10 MB, at one look in 25": replace(_USUAL, spike_bytes=10e6, spike_share=0.04),
    "counts read 50 ms after the bytes": replace(_USUAL, late_seconds=0.05),
    "two innocent routes hold memory for 2 s": replace(_USUAL, faded=_FADING),
    "the same for 6 s, and no leak": replace(
        _USUAL, kept_bytes={}, faded={name: (size, 6.0) for name, (size, _) in _FADING.items()}
    ),
    "garbage of 2 kB a request, collected each 3,000": replace(_USUAL, garbage_bytes=2_000.0),
    "half of the requests seen": replace(_USUAL, probability=0.5),
    "one request in ten seen": replace(_USUAL, probability=0.1),
    "40 routes, the leaking ones 25th and 9th": _MANY,
    "40 routes, load up and down by half, each minute": replace(_MANY, load_swing=0.5),
    "90 routes, the leaking ones 25th and 9th": replace(
        _USUAL, shares=shares_of_many(90, {"/cart": 24, "/search": 8})
    ),
    "40 routes, no leak": replace(_MANY, kept_bytes={}),
}


@dataclass(frozen=True)
class Answer:
    """What one sitting says of one route.

    Attributes:
        route: Which.
        kept_bytes: The truth.
        is_inside: Whether the interval contains it; None where the route has none of its own, or
            has one only because it seemed to explain growth.
        is_told: Whether the route is told in the end.
        is_ever_told: Whether it was told at any look until then.
    """

    route: str
    kept_bytes: float
    is_inside: bool | None
    is_told: bool
    is_ever_told: bool


def answers(
    circumstances: Circumstances, seed: int, looks_at: Sequence[float] = range(20, 180, 20)
) -> list[Answer]:
    """Return what a sitting of three minutes, and looks before its end, say of each route."""
    record = watched(seed, circumstances)
    looks = [_told(record.copy(_intervals(record, end))) for end in looks_at]
    told = _told(record)
    ever = told.union(*looks)
    every = finish(groups_of(record))
    groups = finish(chosen_groups(record, every))
    watch, error = watch_of(record, groups, every=every)
    estimates = finish(fit(watch))
    inside = {}
    for (route, *others), each in zip(groups, estimates, strict=False):
        kept = circumstances.kept_bytes.get(route, 0.0)
        # An innocent route that was chosen seems to grow: that is why.
        if not others and (kept or groups == every):
            inside[route] = each.least / (1 + 2 * error) <= kept <= each.most * (1 + 2 * error)
    return [
        Answer(
            route,
            circumstances.kept_bytes.get(route, 0.0),
            inside.get(route),
            route in told,
            route in ever,
        )
        for route in circumstances.routes
    ]


def _told(record: RouteRecord) -> set[str]:
    return {each.route for each in finish(growth_by_route(record))}


def _intervals(record: RouteRecord, seconds: float) -> int:
    return bisect_right(list(accumulate(record.seconds)), seconds)


def finish(steps: Generator[Any, None, Any]) -> Any:
    """Return what a generator returns."""

    def whole() -> Generator[Any, None, None]:
        returned.append((yield from steps))

    returned: list[Any] = []
    for _ in whole():
        pass
    return returned[0]


def _row(name: str, sittings: Sequence[Sequence[Answer]]) -> str:
    cells = []
    for route in KEPT_BYTES:
        told = [each.is_told for answers in sittings for each in answers if each.route == route]
        cells.append(_percent(told))
    every = [each for answers in sittings for each in answers]
    kept = [each.is_inside for each in every if each.kept_bytes and each.is_inside is not None]
    innocent = [each for each in every if each.kept_bytes == 0]
    leaks = cells if kept else ["", ""]
    zero = [each.is_inside for each in innocent if each.is_inside is not None]
    return (
        f"| {name} | {' | '.join(leaks)} | {_percent(kept) if kept else ''} "
        f"| {_percent(zero) if zero else ''} "
        f"| {sum(each.is_told for each in innocent)} of {len(innocent):,} "
        f"| {sum(each.is_ever_told for each in innocent)} |"
    )


def _percent(facts: Sequence[bool]) -> str:
    return f"{100 * sum(facts) / len(facts):.0f} %"


def main() -> None:
    """Let every service run, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sittings", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="services with this in their names alone")
    given = parser.parse_args()
    print(
        "| service | 20 kB told | 8 kB told | their truth inside | zero inside, innocent "
        "| innocent told | at any look |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    with ProcessPoolExecutor(given.processes) as pool:
        for name, circumstances in SERVICES.items():
            if given.only not in name:
                continue
            run = partial(answers, circumstances)
            print(_row(name, list(pool.map(run, range(given.sittings)))), flush=True)


if __name__ == "__main__":
    main()
