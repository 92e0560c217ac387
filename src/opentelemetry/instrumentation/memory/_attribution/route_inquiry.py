"""The inquiry that waits until routes can be told apart, and tells the ones that keep memory."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Final, TypeVar, cast

from opentelemetry.instrumentation.memory._attribution.pursuit import pursued
from opentelemetry.instrumentation.memory._attribution.regression import Watch, fit
from opentelemetry.instrumentation.memory._attribution.sampled import expected_counts
from opentelemetry.instrumentation.memory._attribution.together import in_step
from opentelemetry.instrumentation.memory.evidence import (
    EvidenceKind,
    Findings,
    RouteGrowth,
    Skipped,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from opentelemetry.instrumentation.memory._attribution.inquiry import Case
    from opentelemetry.instrumentation.memory._attribution.route_counter import RouteCounter
    from opentelemetry.instrumentation.memory._attribution.route_record import RouteRecord

_Answer = TypeVar("_Answer")

LOOK_EVERY_SECONDS: Final = 20.0
LONGEST_SECONDS: Final = 420.0
IDLE_SECONDS: Final = 60.0
_LOOKS_THAT_AGREE: Final = 3  # a minute apart
_LEAST_SECONDS: Final = 180.0  # while much of the growth is not explained
_MOST_ROUTES: Final = 20  # that have a column of their own
_LEAST_COUNT: Final = 8
# Once the interval is this narrow beside its estimate there is little to wait for.
_PRECISE: Final = 0.25
# What explains less of the growth than this is not what anybody is looking for.
_LEAST_SHARE: Final = 0.02
_BEST_SHARE: Final = 0.9
_MOST_JOINED: Final = 3
# A route of which fewer are in flight at a look, beside what finishes between two, has no column
# of its own for them.
_LEAST_PART_IN_FLIGHT: Final = 0.03
_BYTES_OF_RECORDS: Final = 2_000_000


class RouteInquiry:
    """Regresses growth on what finished; see `regression` for how.

    Args:
        counter: Where growth and counts are noted; started by whoever raises the alarm, or here.
    """

    kind: EvidenceKind = "routes"
    is_holding = False

    def __init__(self, counter: RouteCounter) -> None:
        self._counter = counter
        self.interim: Findings | None = None

    def gather(self, case: Case) -> Generator[float, None, Findings]:
        """Watch for some minutes, and return the routes whose interval excludes zero.

        A route that two looks running have found is told meanwhile, as `interim`.
        """
        self.interim = None
        if not self._counter.is_watching:
            self._counter.start(case.segment)
        waited = 0.0
        found: tuple[RouteGrowth, ...] = ()
        looks: list[tuple[RouteGrowth, ...]] = []
        while True:
            requests, tracked = self._counter.records()
            watched = requests.watched_seconds()
            is_idle = not requests.columns and not tracked.columns
            if is_idle and waited >= IDLE_SECONDS:
                return _skipped(
                    "no request or task has finished that a span, a middleware or "
                    "track() would have told of"
                )
            if not is_idle and watched >= LOOK_EVERY_SECONDS:
                found = yield from growth_by_route(requests, [tracked.in_flight])
                found += yield from growth_by_route(tracked, [requests.in_flight])
                # The metric has one route a series; what cannot be told apart is evidence alone.
                single = {*requests.columns, *tracked.columns}
                self._counter.publish(tuple(each for each in found if each.route in single))
                grown = max(sum(requests.growth), 1.0)
                looks.append(found)
                self._tell_meanwhile(looks, watched)
                if _is_settled(found, grown) or _is_still(looks, watched):
                    break
            if max(watched, waited) >= LONGEST_SECONDS:
                break
            yield LOOK_EVERY_SECONDS
            waited += LOOK_EVERY_SECONDS
        return Findings(routes=found, seconds=watched, memory_bytes=_BYTES_OF_RECORDS)

    def _tell_meanwhile(self, looks: Sequence[tuple[RouteGrowth, ...]], watched: float) -> None:
        """Tell what the last two looks have both found, if there is a route that is not told yet.

        There are up to twenty looks, and one alone is wrong at times.
        """
        before = {each.route for look in looks[-2:-1] for each in look}
        found = tuple(each for each in looks[-1] if each.route in before)
        told = () if self.interim is None else self.interim.routes
        if {each.route for each in found} - {each.route for each in told}:
            self.interim = Findings(routes=found, seconds=watched, memory_bytes=_BYTES_OF_RECORDS)


def growth_by_route(
    record: RouteRecord, others: Sequence[Sequence[float]] = ()
) -> Generator[float, None, tuple[RouteGrowth, ...]]:
    """Return the routes of a record that keep memory for certain, the worst first.

    Routes that finish at a constant ratio cannot be told apart; they are told together, as
    `GET /a + GET /b`.

    Args:
        record: Of requests, or of what `track` names.
        others: What else holds memory only as long as it is in flight.
    """
    usual = record.uninterrupted()
    record = record.chosen(usual)
    others = [list(compress(column, usual)) for column in others]
    yield 0.0
    every = yield from groups_of(record)
    groups = yield from chosen_groups(record, every, others)
    if not groups:
        return ()
    watch, error = watch_of(record, groups, others, every)
    yield 0.0
    estimates = yield from _yielding(fit(watch))
    told = []
    grown = sum(record.growth)
    # The last estimate may be that of all routes that are too rare.
    for group, estimate in zip(groups, estimates, strict=False):
        requests = sum(sum(record.columns[name]) for name in group) / _probability(record)
        kept = estimate.value * requests
        if estimate.is_certain and kept >= _LEAST_SHARE * grown:
            told.append(
                RouteGrowth(
                    route=_joined(group),
                    requests=round(requests),
                    bytes_per_request=estimate.value,
                    least_bytes=estimate.least / (1 + 2 * error),
                    most_bytes=estimate.most * (1 + 2 * error),
                )
            )
    return tuple(sorted(told, key=lambda each: -each.bytes_per_request * each.requests))


def groups_of(record: RouteRecord) -> Generator[float, None, list[list[str]]]:
    """Return the routes that are not too rare, the busiest first, in groups told together."""
    names = sorted(record.columns, key=lambda name: -sum(record.columns[name]))
    frequent = [name for name in names if sum(record.columns[name]) >= _LEAST_COUNT]
    # All of them: who is in step with an innocent route must not be left out beside it.
    places = yield from in_step([record.columns[name] for name in frequent])
    return [[frequent[place] for place in group] for group in places]


def chosen_groups(
    record: RouteRecord,
    groups: list[list[str]],
    others: Sequence[Sequence[float]] = (),
) -> Generator[float, None, list[list[str]]]:
    """Return the groups whose counts get a column: all, or of many the ones that explain growth."""
    if len(groups) <= _MOST_ROUTES:
        return groups
    columns = [_sum([record.columns[name] for name in group]) for group in groups]
    passing = [record.in_flight.tolist(), *others]
    watch = Watch(record.seconds, record.growth, columns, passing)
    places = yield from _yielding(pursued(watch, _MOST_ROUTES))
    return [groups[place] for place in places]


def watch_of(
    record: RouteRecord,
    groups: Sequence[Sequence[str]],
    others: Sequence[Sequence[float]] = (),
    every: Sequence[Sequence[str]] = (),
) -> tuple[Watch, float]:
    """Return what growth is regressed on, and how wrong sampled counts may be, as a share.

    There is a column for each group of names, and then one for the names in no group, if any.

    Args:
        record: What happened.
        groups: Those with a column of their own.
        others: What else holds memory only as long as it is in flight.
        every: All groups that those were chosen from, the busiest first. What the busiest hold in
            flight goes up and down most, and has columns even where they seem to keep nothing.
    """
    beside = [group for group in every if group not in groups][: _MOST_ROUTES - len(groups)]
    columns = [_sum([record.columns[name] for name in group]) for group in groups]
    named = {name for group in groups for name in group}
    rest = [column for name, column in record.columns.items() if name not in named]
    if rest:
        columns.append(_sum(rest))
    counts, error = expected_counts(columns, _probability(record))
    passing = [*_in_flight(record, [*groups, *beside]), *others]
    return Watch(record.seconds, record.growth, counts, passing, len(every)), error


def _probability(record: RouteRecord) -> float:
    seen = sum(map(sum, record.columns.values()))
    return min(seen / record.stands_for, 1.0) if record.stands_for else 1.0


def _in_flight(record: RouteRecord, groups: Sequence[Sequence[str]]) -> list[list[float]]:
    """Return the growth of what is in flight: of each group that often is, and of all the rest.

    What a request keeps it may keep from its begin on. Where many of a route's requests are in
    flight at once, its count tells too late.
    """
    carried = [_sum([record.carried[name] for name in group]) for group in groups]
    finished = [sum(sum(record.columns[name]) for name in group) for group in groups]
    total = sum(map(sum, record.columns.values()))
    known = _sum(list(record.carried.values()))
    # Of what is still in flight nobody knows the route yet.
    unknown = [every - part for every, part in zip(record.in_flight, known, strict=True)]
    rest, columns = record.in_flight.tolist(), []
    for column, number in zip(carried, finished, strict=True):
        if sum(map(abs, column)) < _LEAST_PART_IN_FLIGHT * number:
            continue
        share = number / total
        own = [value + share * more for value, more in zip(column, unknown, strict=True)]
        rest = [value - each for value, each in zip(rest, own, strict=True)]
        columns.append(own)
    return [rest, *columns] if len(columns) < len(groups) else columns


def _yielding(steps: Generator[None, None, _Answer]) -> Generator[float, None, _Answer]:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("_Answer", end.value)
        yield 0.0


def _is_settled(found: tuple[RouteGrowth, ...], grown: float) -> bool:
    precise = [
        each
        for each in found
        if each.most_bytes - each.least_bytes <= 2 * _PRECISE * each.bytes_per_request
    ]
    explained = sum(each.bytes_per_request * each.requests for each in precise)
    return explained >= _BEST_SHARE * grown


def _is_still(looks: Sequence[tuple[RouteGrowth, ...]], watched: float) -> bool:
    """Tell whether the last minute's looks agree, so that further ones would add little."""
    if len(looks) <= _LOOKS_THAT_AGREE or watched < _LEAST_SECONDS:
        return False
    before = {each.route: each for each in looks[-1 - _LOOKS_THAT_AGREE]}
    now = {each.route: each for each in looks[-1]}
    return before.keys() == now.keys() and all(
        before[route].least_bytes <= each.bytes_per_request <= before[route].most_bytes
        for route, each in now.items()
    )


def _sum(columns: Sequence[Sequence[float]]) -> list[float]:
    return [float(sum(row)) for row in zip(*columns, strict=True)]


def _joined(names: list[str]) -> str:
    shown = " + ".join(names[:_MOST_JOINED])
    return shown if len(names) <= _MOST_JOINED else f"{shown} and {len(names) - _MOST_JOINED} more"


def _skipped(why: str) -> Findings:
    return Findings(skipped=(Skipped("routes", why),))
