"""All processes: hands each its points, forgets those that went, keeps within bounds."""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict, deque
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.instrumentation.memory._commands.watch.identity import identity_of, in_words
from opentelemetry.instrumentation.memory._commands.watch.intake import Span, read
from opentelemetry.instrumentation.memory._commands.watch.moment import NANOSECONDS
from opentelemetry.instrumentation.memory._commands.watch.series import Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )
    from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics

    from opentelemetry.instrumentation.memory._commands.watch.identity import Identity
    from opentelemetry.instrumentation.memory._commands.watch.intake import Point, Reason
    from opentelemetry.instrumentation.memory._commands.watch.series import Outcome
    from opentelemetry.instrumentation.memory._commands.watch.settings import WatchSettings
    from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

_logger = logging.getLogger(__name__)
_MOST_EVENTS: Final = 10_000
# How many are judged before another thread may have the lock.
_AT_ONCE: Final = 200
_MOST_WARNINGS: Final = 20
# It is kept as long as the process is, and goes out with every verdict, beside those of others.
_LARGEST_RESOURCE_BYTES: Final = 128 * 1024
# Of all resources in one request of events: a receiver takes 4 MiB a message unless told otherwise.
_RESOURCES_A_REQUEST_BYTES: Final = 2 * 2**20


class Finding(NamedTuple):
    """A verdict about one process, with the resource that it is about."""

    identity: Identity
    resource: bytes
    schema_url: str
    outcome: Outcome


def _finding(series: Series, outcome: Outcome) -> Finding:
    return Finding(series.identity, series.resource, series.schema_url, outcome)


class Fleet:
    """The processes that are watched. Every public method may be called by any thread.

    Args:
        settings: The bounds.
        tally: Counts what happens.
    """

    def __init__(self, settings: WatchSettings, tally: Tally) -> None:
        self._settings = settings
        self._tally = tally
        self._lock = threading.Lock()
        self._series: dict[Identity, Series] = {}
        # A resource as it was last written, to find its process without reading it again.
        self._by_resource: dict[bytes, Series] = {}
        # What may still become more complete, by when it began to wait.
        self._pending: OrderedDict[Series, float] = OrderedDict()
        self._fresh: dict[Series, None] = {}
        self._events: deque[Finding] = deque()
        self._warned_of: set[Identity] = set()
        self.has_events = threading.Event()

    def take(self, request: ExportMetricsServiceRequest, now: float) -> Counter[Reason]:
        """Take one request; return how many of its points were rejected, by reason.

        Args:
            request: OTLP metrics of any number of processes.
            now: Seconds since 1970, by the clock here.
        """
        rejected: Counter[Reason] = Counter()
        span = Span(
            earliest=int((now - self._settings.max_age_seconds) * NANOSECONDS),
            latest=int((now + self._settings.max_future_seconds) * NANOSECONDS),
        )
        # A request may hold several moments of one process, in any order.
        gathered: dict[Series, list[Point]] = {}
        with self._lock:
            for resource_metrics in request.resource_metrics:
                self._gather(resource_metrics, span, gathered, rejected)
            for series, points in gathered.items():
                self._take(series, points, now, rejected)
            self._tally.rejected.update(rejected)
        return rejected

    def _gather(
        self,
        given: ResourceMetrics,
        span: Span,
        gathered: dict[Series, list[Point]],
        rejected: Counter[Reason],
    ) -> None:
        report = read(given, span, rejected)
        self._tally.points += len(report.points)
        passes_over = report.judged_itself_at > 0 and not self._settings.judge_all
        if not report.points and not passes_over:
            return
        found = self._find(given)
        if not isinstance(found, Series):
            rejected[found] += len(report.points)
            return
        if passes_over:
            found.pass_over(report.judged_itself_at)
        gathered.setdefault(found, []).extend(report.points)

    def _take(
        self, series: Series, points: Sequence[Point], now: float, rejected: Counter[Reason]
    ) -> None:
        series.arrived_at_seconds = now
        points = series.not_judged_by_itself(points)
        if series.judges_itself:
            self._pending.pop(series, None)
            self._fresh.pop(series, None)
            return
        collisions = rejected["collision"]
        self._note(series, series.add(points, rejected))
        if rejected["collision"] > collisions:
            self._warn_of_collision(series)
        if series.is_pending:
            self._pending.setdefault(series, now)
        else:
            self._pending.pop(series, None)

    def _find(self, given: ResourceMetrics) -> Series | Reason:
        """Return the process that a resource describes, or why there is none."""
        written = given.resource.SerializeToString(deterministic=True)
        series = self._by_resource.get(written)
        if series is not None:
            return series
        if len(written) + len(given.schema_url) > _LARGEST_RESOURCE_BYTES:
            return "resource_size"
        identity = identity_of(given.resource)
        if identity is None:
            return "no_identity"
        series = self._series.get(identity)
        if series is None:
            if len(self._series) >= self._settings.max_series:
                return "series_limit"
            series = self._series[identity] = Series(identity, written, given.schema_url)
        else:
            # The same process with another attribute: what goes out follows.
            self._by_resource.pop(series.resource, None)
            series.resource, series.schema_url = written, given.schema_url
        self._by_resource[written] = series
        return series

    def _note(self, series: Series, outcomes: Sequence[Outcome]) -> None:
        self._tally.samples += len(outcomes)
        if outcomes:
            self._fresh[series] = None
        for outcome in outcomes:
            if outcome.news is not None:
                self._tally.events += 1
                self._queue(_finding(series, outcome))

    def _queue(self, event: Finding) -> None:
        if len(self._events) >= _MOST_EVENTS:
            self._events.popleft()
            self._tally.events_dropped += 1
        self._events.append(event)
        self.has_events.set()

    def _warn_of_collision(self, series: Series) -> None:
        if series.identity in self._warned_of or len(self._warned_of) >= _MOST_WARNINGS:
            return
        self._warned_of.add(series.identity)
        _logger.warning(
            "two processes look like one: %s; set service.instance.id or process.pid",
            in_words(series.identity),
        )

    def settle(self, now: float) -> None:
        """Judge the moments that have waited for more long enough; `inf` judges all."""
        is_more = True
        while is_more:
            is_more = False
            with self._lock:
                for _ in range(min(_AT_ONCE, len(self._pending))):
                    series, since = next(iter(self._pending.items()))
                    # A clock that was set back must not make anything wait for ever.
                    if since <= now < since + self._settings.settle_seconds:
                        break
                    del self._pending[series]
                    self._note(series, series.settle())
                else:
                    is_more = bool(self._pending)

    def expire(self, now: float) -> None:
        """Forget the processes that have sent nothing for too long."""
        with self._lock:
            gone = [
                series
                for series in self._series.values()
                if now - series.arrived_at_seconds > self._settings.idle_seconds
            ]
            for series in gone:
                del self._series[series.identity]
                self._by_resource.pop(series.resource, None)
                self._pending.pop(series, None)
                self._fresh.pop(series, None)
            self._tally.expired += len(gone)

    def fresh_findings(self) -> list[Finding]:
        """Return the newest verdict of each process that was judged since the last call."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
            return [_finding(series, series.last) for series in fresh if series.last is not None]

    def events(self, most: int) -> list[Finding]:
        """Return the oldest changes of state that have not been `sent`, but leave them here.

        No more than a receiver takes in one request.
        """
        with self._lock:
            if not self._events:
                self.has_events.clear()
            found: list[Finding] = []
            size = 0
            for event in islice(self._events, most):
                size += len(event.resource)
                if found and size > _RESOURCES_A_REQUEST_BYTES:
                    break
                found.append(event)
            return found

    def sent(self, events: Sequence[Finding]) -> None:
        """Forget changes of state that have arrived, or never will."""
        with self._lock:
            for event in events:
                if self._events and self._events[0] is event:
                    self._events.popleft()

    def untell(self) -> None:
        """Let the next start tell the changes of state that could not be sent."""
        with self._lock:
            for event in self._events:
                series = self._series.get(event.identity)
                if series is not None and event.outcome.news is not None:
                    series.untell(event.outcome.news)
            self._events.clear()

    def states(self) -> Counter[str]:
        """Return how many processes there are in each state."""
        with self._lock:
            return Counter(
                "judges_itself"
                if series.judges_itself
                else "warming_up"
                if series.last is None
                else series.last.verdict.state
                for series in self._series.values()
            )

    def identities(self) -> list[Identity]:
        """Return all processes there are just now."""
        with self._lock:
            return list(self._series)

    def state_of(self, identity: Identity) -> dict[str, object] | None:
        """Return one process as plain values, or None when it went."""
        with self._lock:
            series = self._series.get(identity)
            return None if series is None else series.to_state()

    def restore(self, restored: Iterable[Series], now: float) -> int:
        """Put saved processes back, up to the bound; return how many.

        They were not silent while nobody listened: how long they were goes on from where it was.
        """
        known = list(islice(restored, self._settings.max_series))
        away = max(now - max((each.arrived_at_seconds for each in known), default=now), 0.0)
        with self._lock:
            for series in known:
                series.arrived_at_seconds += away
                if self._settings.judge_all:
                    series.judge_again()
                self._series[series.identity] = series
                self._by_resource[series.resource] = series
        return len(known)
