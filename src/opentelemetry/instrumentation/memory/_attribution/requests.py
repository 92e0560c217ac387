"""Requests and tasks that have finished, counted by name, and the requests that somebody watches.

The tables are those of the process: spans, middleware and `track` count into them from any thread.
While nobody wants to know, each of them looks at one attribute and is done.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._attribution.route_names import (
    MOST_NAMES,
    OTHER,
    route_name,
    template,
)

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._attribution.request_watch import RequestWatch

Key = tuple["str | None", str, float]
"""Method, route as it was told, and the probability that such a request is seen."""

_MOST_KEYS: Final = 10 * MOST_NAMES


class _Counter:
    """One counter. `next` on it is one C call, which no other thread can come in between."""

    __slots__ = ("name", "probability", "seen", "ticks")

    def __init__(self, name: str, probability: float) -> None:
        self.name = name
        self.probability = probability
        self.ticks = count()
        self.seen = 0

    def take(self) -> int:
        """Return how often it was counted since the last take, of which there is one thread."""
        # Reading takes a tick as well.
        tick = next(self.ticks)
        taken, self.seen = tick - self.seen, tick + 1
        return taken


class Tally:
    """How often each name finished; lock-free, since a lock may be held at a fork."""

    def __init__(self) -> None:
        self._by_key: dict[Key, _Counter] = {}
        self._counters: dict[tuple[str, float], _Counter] = {}

    def add(self, key: Key) -> None:
        """Count one."""
        counter = self._by_key.get(key)
        next((counter or self._admit(key)).ticks)

    def take(self) -> tuple[dict[str, int], float]:
        """Return what was counted since the last call, by name, and how many that stands for."""
        taken: dict[str, int] = {}
        stands_for = 0.0
        for counter in tuple(self._counters.values()):
            seen = counter.take()
            if seen:
                taken[counter.name] = taken.get(counter.name, 0) + seen
                stands_for += seen / counter.probability
        return taken, stands_for

    def _admit(self, key: Key) -> _Counter:
        method, route, probability = key
        name = route_name(method, route) if method else template(route)
        if len(self._counters) >= MOST_NAMES and (name, probability) not in self._counters:
            name, probability = OTHER, 1.0 if probability == 1 else probability
            if len(self._counters) >= 2 * MOST_NAMES:
                probability = 1.0
        # setdefault: of two threads at this point one wins, and both count into the same.
        counter = self._counters.setdefault((name, probability), _Counter(name, probability))
        if len(self._by_key) < _MOST_KEYS:
            self._by_key[key] = counter
        return counter


class Requests:
    """What is wanted of the requests of this process, and what came of it.

    Attributes:
        is_counting: Whether finished requests are counted.
        watch: Who watches single requests, or None.
        has_middleware: Whether this package's own middleware has seen a request. Server spans of
            the same requests are then left alone.
        finished: Requests, by route.
        tracked: What `track` names, by name. Apart from the requests, since it may well happen
            within one, and would count it twice.
    """

    def __init__(self) -> None:
        self.is_counting = False
        self.watch: RequestWatch | None = None
        self.has_middleware = False
        self.finished = Tally()
        self.tracked = Tally()

    def start_counting(self) -> None:
        """Begin anew, with empty tables."""
        self.finished, self.tracked = Tally(), Tally()
        self.is_counting = True

    def stop_counting(self) -> None:
        """Count no more."""
        self.is_counting = False


REQUESTS: Final = Requests()
