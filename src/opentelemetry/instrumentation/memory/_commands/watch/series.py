"""One process over time: which points are news, and what the detector thinks of them."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from opentelemetry.instrumentation.memory._commands.watch.moment import moment_of
from opentelemetry.instrumentation.memory._detection.detector import LeakDetector

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from opentelemetry.instrumentation.memory._commands.watch.identity import Identity
    from opentelemetry.instrumentation.memory._commands.watch.intake import Point, Reason
    from opentelemetry.instrumentation.memory._commands.watch.moment import Moment
    from opentelemetry.instrumentation.memory._commands.watch.vocabulary import Key
    from opentelemetry.instrumentation.memory.model import LeakState, LeakVerdict

# Some SDKs stamp each metric of one collection with a time of its own.
_TOLERANCE: Final = 1_000_000_000
_MOST_KEYS: Final = 256
# Its verdicts come with every export, of which some may be lost on the way.
_OWN_VERDICT_LASTS: Final = 600_000_000_000
# A number that has not come for so long tells no more when the process began; another does.
_ANCHOR_LASTS: Final = 600_000_000_000
# A start that moves with every collection is no start of a process.
_STEADY_STARTS: Final = 3

NEWS: Final[tuple[LeakState, ...]] = ("suspected", "confirmed", "recovered")


class Outcome(NamedTuple):
    """What became of a moment; `news` is the state that an event is due for."""

    time: int
    verdict: LeakVerdict
    moment: Moment
    news: LeakState | None


class Series:
    """One process. Keeps the newest moment, and everything older as the detector's state.

    Args:
        identity: Who it is.
        resource: Its resource, serialised; what goes out is attributed to it.
        schema_url: Of that resource.
    """

    __slots__ = (
        "_anchor", "_anchor_seen", "_anchor_start", "_anchor_times", "_detector", "_expected",
        "_first", "_is_judged", "_judged_itself_at", "_latest", "_told", "_values",
        "arrived_at_seconds", "identity", "last", "resource", "schema_url",
    )  # fmt: skip

    def __init__(self, identity: Identity, resource: bytes, schema_url: str = "") -> None:
        self.identity = identity
        self.resource = resource
        self.schema_url = schema_url
        self.arrived_at_seconds = 0.0
        self.last: Outcome | None = None
        self._detector: LeakDetector | None = None
        self._told: LeakState = "quiet"
        self._judged_itself_at = 0
        # The moment that is being gathered, or was judged last: its span, and its numbers.
        self._first = 0
        self._latest = 0
        self._values: dict[Key, int] = {}
        self._is_judged = True
        self._expected: frozenset[Key] = frozenset()
        # When the process began, as one number tells it: others may have begun at other times.
        self._anchor: tuple[str, ...] | None = None
        self._anchor_start = 0
        self._anchor_times = 0
        self._anchor_seen = 0

    @property
    def judges_itself(self) -> bool:
        """Return whether the process does so, as far as has been heard."""
        return self._judged_itself_at > 0

    @property
    def is_pending(self) -> bool:
        """Return whether there is a moment that has not been judged yet."""
        return not self._is_judged

    def add(self, points: Sequence[Point], rejected: Counter[Reason]) -> list[Outcome]:
        """Take what one request says of this process; return what that completed."""
        outcomes: list[Outcome] = []
        # Moment by moment: within one request a process may have ended, and another begun.
        for moment in _moments(sorted(points, key=lambda each: each.time)):
            age = self._age(moment)
            if age == "older":
                rejected["collision"] += len(moment)
                continue
            if age == "restarted":
                outcomes += self.settle()
                self._detector = None
                self._values = {}
            for point in moment:
                outcomes += self._add(point, rejected)
            if self._values.keys() == self._expected:
                outcomes += self.settle()
        return outcomes

    def _add(self, point: Point, rejected: Counter[Reason]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if self._begins_a_moment(point):
            outcomes = self.settle()
            self._first = self._latest = point.time
            self._values, self._is_judged = {}, False
        wrong = self._wrong(point)
        if wrong is not None:
            rejected[wrong] += 1
            if wrong == "late" and len(self._expected) < _MOST_KEYS:
                # It is part of a moment all the same: the next one waits for it.
                self._expected = _shared(self._expected.union(point.keys))
            return outcomes
        self._latest = max(self._latest, point.time)
        for key in point.keys:
            self._values[key] = point.value
        return outcomes

    def settle(self) -> list[Outcome]:
        """Judge the moment that is being gathered, if any: nothing more will come of it."""
        if self._is_judged:
            return []
        self._is_judged = True
        if self._values.keys() != self._expected:
            self._expected = _shared(frozenset(self._values))
        if self._first > self._anchor_seen + _ANCHOR_LASTS:
            self._anchor, self._anchor_start, self._anchor_times = None, 0, 0
        moment = moment_of(self._first, self._values)
        if moment is None:
            return []
        if self._detector is None:
            # Its ticks follow the pace of the samples: no shortest tick to set.
            self._detector = LeakDetector()
        verdict = self._detector.update(moment.sample)
        self.last = Outcome(self._first, verdict, moment, self._news(verdict))
        return [self.last]

    def pass_over(self, judged_itself_at: int) -> None:
        """Judge nothing up to some minutes after this time: the process did that itself.

        Args:
            judged_itself_at: Nanoseconds since 1970, of its own verdict.
        """
        if judged_itself_at + _OWN_VERDICT_LASTS <= self._latest:
            return  # heard late: it has been judged here since
        self._judged_itself_at = max(self._judged_itself_at, judged_itself_at)
        self._detector, self.last = None, None
        self._values, self._is_judged = {}, True

    def not_judged_by_itself(self, points: Sequence[Point]) -> Sequence[Point]:
        """Return those of the points that the process's own verdicts do not stand for."""
        if not self.judges_itself:
            return points
        end = self._judged_itself_at + _OWN_VERDICT_LASTS
        left = [point for point in points if point.time > end]
        if left:
            self.judge_again()
        return left

    def judge_again(self) -> None:
        """Judge what comes from now on: the process does not, or is to be judged all the same."""
        self._judged_itself_at = 0

    def _begins_a_moment(self, point: Point) -> bool:
        if point.time <= self._latest:
            return False
        is_known = any(key in self._values for key in point.keys)
        return is_known or point.time > self._first + _TOLERANCE

    def _wrong(self, point: Point) -> Reason | None:
        if point.time < self._first - _TOLERANCE:
            return "out_of_order"
        before = self._values.get(point.keys[0])
        if before is not None:
            return "duplicate" if before == point.value else "collision"
        if self._is_judged:
            return "late"
        return "too_many_points" if len(self._values) >= _MOST_KEYS else None

    def _age(self, points: Sequence[Point]) -> Literal["same", "older", "restarted"]:
        """Learn when the process began, and compare it with what was known.

        A process that was restarted under the same name begins anew. Of two that run at the same
        time under the same name the younger is judged, and the points of the older are refused.
        """
        for point in points:
            if not point.start:
                continue
            anchor = _anchor_of(point.keys[0])
            if self._anchor is not None and self._anchor != anchor:
                continue
            self._anchor_seen = max(self._anchor_seen, point.time)
            before, times = self._anchor_start, self._anchor_times
            if point.start < before:
                # What comes late of the process before is only late.
                return "older" if point.time > self._first else "same"
            if point.start == before:
                self._anchor_times = min(times + 1, _STEADY_STARTS)
                return "same"
            self._anchor, self._anchor_start, self._anchor_times = anchor, point.start, 1
            is_new = times >= _STEADY_STARTS and point.start > self._latest
            return "restarted" if is_new else "same"
        return "same"

    def _news(self, verdict: LeakVerdict) -> LeakState | None:
        state = verdict.state
        if state == "quiet" and self._told in {"suspected", "confirmed"}:
            state = "recovered"
        if state == self._told or state not in NEWS:
            return None
        self._told = state
        return state

    def untell(self, news: LeakState) -> None:
        """Take back that a change of state was told."""
        self._told = "confirmed" if news == "recovered" else "quiet"

    def to_state(self) -> dict[str, Any]:
        """Return everything but the moment that is being gathered, as plain values for JSON."""
        return {
            "identity": list(self.identity),
            "resource": base64.b64encode(self.resource).decode(),
            "schema_url": self.schema_url,
            "judged_itself_at": self._judged_itself_at,
            "arrived_at_seconds": self.arrived_at_seconds,
            "told": self._told,
            "latest": self._latest,
            "anchor": None if self._anchor is None else list(self._anchor),
            "anchor_start": self._anchor_start,
            "anchor_times": self._anchor_times,
            "detector": None if self._detector is None else self._detector.to_state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Series:
        """Return the series that `to_state` described.

        Raises:
            ValueError: It described none.
        """
        try:
            identity = tuple(str(each) for each in state["identity"])
            series = cls(identity, base64.b64decode(state["resource"]), str(state["schema_url"]))
            series._judged_itself_at = int(state["judged_itself_at"])
            series.arrived_at_seconds = float(state["arrived_at_seconds"])
            told = state["told"]
            series._told = told if told in NEWS else "quiet"
            series._first = series._latest = series._anchor_seen = int(state["latest"])
            if state["anchor"] is not None:
                series._anchor = tuple(str(each) for each in state["anchor"])
            series._anchor_start = int(state["anchor_start"])
            series._anchor_times = int(state["anchor_times"])
            if state["detector"] is not None:
                series._detector = LeakDetector.from_state(state["detector"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"damaged state of a series: {error!r}") from error
        return series


def _moments(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    """Yield points that are in the order of their time, those of about one time together."""
    first = 0
    for index, point in enumerate(points):
        if point.time > points[first].time + _TOLERANCE:
            yield points[first:index]
            first = index
    if points:
        yield points[first:]


@lru_cache(maxsize=4096)
def _anchor_of(key: Key) -> tuple[str, ...]:
    """Return what is the same for this number in every moment, and survives a restart of ours."""
    parts = (text for attribute in key.attributes for text in attribute)
    return (key.meaning.metric, key.meaning.role, key.scope, *parts)


@lru_cache(maxsize=1024)
def _shared(keys: frozenset[Key]) -> frozenset[Key]:
    """Return the same set for all processes that report the same metrics."""
    return keys
