"""The inquiry that waits until routes can be told apart, and tells the ones that keep memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from opentelemetry.instrumentation.memory._attribution.regression import Estimate, Watch, fit
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

LOOK_EVERY_SECONDS: Final = 20.0
LONGEST_SECONDS: Final = 420.0
IDLE_SECONDS: Final = 60.0
_LOOKS_THAT_AGREE: Final = 3  # a minute apart
_LEAST_SECONDS_FOR_NOTHING: Final = 180.0
_MOST_ROUTES: Final = 20
_LEAST_COUNT: Final = 8
# Once the interval is this narrow beside its estimate there is little to wait for.
_PRECISE: Final = 0.25
# What explains less of the growth than this is not what anybody is looking for.
_LEAST_SHARE: Final = 0.02
_BEST_SHARE: Final = 0.7
_MOST_JOINED: Final = 3
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

    def gather(self, case: Case) -> Generator[float, None, Findings]:
        """Watch for some minutes, and return the routes whose interval excludes zero."""
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
                found = yield from growth_by_route(requests)
                found += yield from growth_by_route(tracked)
                # The metric has one route a series; what cannot be told apart is evidence alone.
                single = {*requests.columns, *tracked.columns}
                self._counter.publish(tuple(each for each in found if each.route in single))
                grown = max(sum(requests.growth), 1.0)
                looks.append(found)
                if _is_settled(found, grown) or _is_still(looks, watched):
                    break
            if max(watched, waited) >= LONGEST_SECONDS:
                break
            yield LOOK_EVERY_SECONDS
            waited += LOOK_EVERY_SECONDS
        return Findings(routes=found, seconds=watched, memory_bytes=_BYTES_OF_RECORDS)


def growth_by_route(record: RouteRecord) -> Generator[float, None, tuple[RouteGrowth, ...]]:
    """Return the routes of a record that keep memory for certain, the worst first.

    Routes that finish at a constant ratio cannot be told apart; they are told together, as
    `GET /a + GET /b`.
    """
    names = sorted(record.columns, key=lambda name: -sum(record.columns[name]))
    frequent = [name for name in names if sum(record.columns[name]) >= _LEAST_COUNT][:_MOST_ROUTES]
    if not frequent:
        return ()
    yield 0.0
    groups = yield from in_step([record.columns[name] for name in frequent])
    columns = [_sum([record.columns[frequent[index]] for index in group]) for group in groups]
    rest = [record.columns[name] for name in names if name not in frequent]
    if rest:
        columns.append(_sum(rest))
    seen = sum(map(sum, record.columns.values()))
    probability = min(seen / record.stands_for, 1.0) if record.stands_for else 1.0
    counts, error = expected_counts(columns, probability)
    yield 0.0
    estimates = yield from _yielding(Watch(record.seconds, record.growth, counts))
    told = []
    grown = sum(record.growth)
    for group, estimate, column in zip(groups, estimates, columns, strict=False):
        requests = sum(column) / probability
        kept = estimate.value * requests
        if estimate.is_certain and kept >= _LEAST_SHARE * grown:
            told.append(
                RouteGrowth(
                    route=_joined([frequent[index] for index in group]),
                    requests=round(requests),
                    bytes_per_request=estimate.value,
                    least_bytes=estimate.least / (1 + 2 * error),
                    most_bytes=estimate.most * (1 + 2 * error),
                )
            )
    return tuple(sorted(told, key=lambda each: -each.bytes_per_request * each.requests))


def _yielding(watch: Watch) -> Generator[float, None, tuple[Estimate, ...]]:
    steps = fit(watch)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("tuple[Estimate, ...]", end.value)
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
    if len(looks) <= _LOOKS_THAT_AGREE or (watched < _LEAST_SECONDS_FOR_NOTHING and not looks[-1]):
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
