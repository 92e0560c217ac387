"""Requests and tasks, counted by name as they finish, and the requests that somebody watches.

The tables are those of the process: spans, middleware and `track` count into them from any thread.
While nobody wants to know, each of them looks at one attribute and is done.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
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
"""Method, route as it was told, and the probability that such a request is seen.

Keys are kept, so no part of one is free for a client to choose.
"""

_MOST_KEYS: Final = 10 * MOST_NAMES
# Of requests that outlast an era, as many are noted between two looks; a service with more of them
# in flight is known well enough by these.
MOST_CARRIED: Final = 5_000
_MOST_ERAS: Final = 2_000


class Counter:
    """One counter. `next` on its ticks is one C call, which no other thread comes in between."""

    __slots__ = ("seen", "ticks")

    def __init__(self) -> None:
        self.ticks = count()
        self.seen = 0

    def take(self) -> int:
        """Return how often it was counted since the last take, of which there is one thread."""
        # Reading takes a tick as well.
        tick = next(self.ticks)
        taken, self.seen = tick - self.seen, tick + 1
        return taken


class _NamedCounter(Counter):
    __slots__ = ("name", "probability")

    def __init__(self, name: str, probability: float) -> None:
        super().__init__()
        self.name = name
        self.probability = probability


class Tally:
    """How often each name finished; lock-free, since a lock may be held at a fork."""

    def __init__(self) -> None:
        self._by_key: dict[Key, _NamedCounter] = {}
        self._counters: dict[tuple[str, float], _NamedCounter] = {}
        self._carried: deque[tuple[str, int]] = deque(maxlen=MOST_CARRIED)

    def add(self, key: Key) -> None:
        """Count one."""
        counter = self._by_key.get(key)
        next((counter or self._admit(key)).ticks)

    def carry(self, key: Key, era: int) -> None:
        """Note that one that was counted just now had begun in an era that is over."""
        self._carried.append(((self._by_key.get(key) or self._admit(key)).name, era))

    def take_carried(self) -> list[tuple[str, int]]:
        """Return name and first era of those that were noted since the last call."""
        return [self._carried.popleft() for _ in range(len(self._carried))]

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

    def _admit(self, key: Key) -> _NamedCounter:
        method, route, probability = key
        name = route_name(method, route) if method else template(route)
        if len(self._counters) >= MOST_NAMES and (name, probability) not in self._counters:
            name, probability = OTHER, 1.0 if probability == 1 else probability
            if len(self._counters) >= 2 * MOST_NAMES:
                probability = 1.0
        # setdefault: of two threads at this point one wins, and both count into the same.
        counter = self._counters.setdefault((name, probability), _NamedCounter(name, probability))
        if len(self._by_key) < _MOST_KEYS:
            self._by_key[key] = counter
        return counter


class Requests:
    """What is wanted of the requests of this process, and what came of it.

    The time of counting is cut into eras, which are numbered; see `close_era`.

    Attributes:
        is_counting: Whether finished requests are counted.
        era: The number of the present era.
        era_began_ns: When it began, in nanoseconds since 1970.
        watch: Who watches single requests, or None.
        has_middleware: Whether this package's own middleware has seen a request. Server spans of
            the same requests are then left alone.
        begun: How many requests that may come to be counted have begun, whatever their route.
        finished: Requests, by route.
        track_begun: Like `begun`, of what `track` names.
        tracked: What `track` names, by name. Apart from the requests, since it may well happen
            within one, and would count it twice.
    """

    def __init__(self) -> None:
        self.is_counting = False
        self.era, self.era_began_ns = 0, 0
        self._era_ends: list[int] = []
        self.watch: RequestWatch | None = None
        self.has_middleware = False
        self.begun, self.finished = Counter(), Tally()
        self.track_begun, self.tracked = Counter(), Tally()

    def start_counting(self) -> None:
        """Begin anew, with empty tables."""
        self._forget()
        self.is_counting = True

    def close_era(self, now_ns: int) -> None:
        """End the present era; called by the one thread that takes counts.

        What is counted in an era and began in one before was in flight when that ended.
        """
        # What is reading the list just now goes on with the old one.
        self._era_ends = [*self._era_ends[1 - _MOST_ERAS :], now_ns]
        self.era, self.era_began_ns = self.era + 1, now_ns

    def era_at(self, moment_ns: int) -> int:
        """Return the number of the era of a moment."""
        ends = self._era_ends
        return self.era - len(ends) + bisect_right(ends, moment_ns)

    def stop_counting(self) -> None:
        """Count no more, and forget."""
        self.is_counting = False
        self._forget()

    def _forget(self) -> None:
        self.era, self.era_began_ns, self._era_ends = 0, 0, []
        self.begun, self.finished = Counter(), Tally()
        self.track_begun, self.tracked = Counter(), Tally()


REQUESTS: Final = Requests()
