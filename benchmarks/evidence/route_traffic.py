"""A service made up of numbers: closed-loop clients, and all that its memory does besides leaking.

Made in a moment and known to the byte, so that hundreds of sittings tell how often an interval
contains the truth and how often an innocent route is told.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._attribution.route_record import (
    Finished,
    RouteRecord,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROUTES: Final = ("/cart", "/home", "/item", "/list", "/news", "/pay", "/plan", "/search", "/user")
KEPT_BYTES: Final = {"/cart": 20_000, "/search": 8_000}
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


def shares_of_many(number: int, places: Mapping[str, int]) -> dict[str, float]:
    """Return how often each of many routes is asked for, the busiest first.

    The second is asked for half as often as the first, the third a third as often (Zipf).

    Args:
        number: How many routes.
        places: At which place some of them are; the others get names of no meaning.
    """
    named = {place: route for route, place in places.items()}
    return {
        named.get(place, f"/{_LETTERS[place // 26]}{_LETTERS[place % 26]}"): 1 / (place + 1)
        for place in range(number)
    }


@dataclass(frozen=True)
class Circumstances:
    """What a service does; the defaults are measured at the service of `routes.py`.

    Attributes:
        clients: How many, one request after the other each.
        shares: How often each route is asked for; all of the nine equally often, unless given.
        kept_bytes: What a request keeps for good, on average, by route.
        service_seconds: Mean time of one request.
        held_bytes: What a request holds as long as it runs.
        faded: Bytes that a request keeps for a while, and the mean of that time, by route.
        garbage_bytes: What each request leaves to the collector.
        collected_after: After how many requests the collector comes.
        warm_up_bytes: What fills up once, in the first seconds of the watch.
        wander_bytes: How far other memory wanders in a second.
        jitter_bytes: How far each reading is off.
        spike_bytes: What is there for a moment now and then.
        spike_share: How likely a look sees it.
        late_seconds: How much later than the bytes the counts are read, on average.
        tables: When something large is loaded, and how large it is.
        load_swing: By how much the load goes up and down, as a share.
        probability: How likely a request is seen (head sampling).
    """

    clients: int = 20
    shares: Mapping[str, float] = field(default_factory=dict)
    kept_bytes: Mapping[str, float] = field(default_factory=lambda: dict(KEPT_BYTES))
    service_seconds: float = 0.03
    held_bytes: float = 32_000.0
    faded: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    garbage_bytes: float = 0.0
    collected_after: int = 3000
    warm_up_bytes: float = 0.0
    wander_bytes: float = 10_000.0
    jitter_bytes: float = 10_000.0
    spike_bytes: float = 0.0
    spike_share: float = 0.0
    late_seconds: float = 0.0005
    tables: Sequence[tuple[float, float]] = ()
    load_swing: float = 0.0
    probability: float = 1.0

    @property
    def routes(self) -> tuple[str, ...]:
        """Return all routes."""
        return tuple(self.shares) or ROUTES


def watched(
    seed: int, circumstances: Circumstances, seconds: float = 180.0, every_seconds: float = 0.5
) -> RouteRecord:
    """Return what a watch over such a service notes."""
    rnd = random.Random(seed)  # noqa: S311 - a seed, not a secret
    now = circumstances
    memory: list[tuple[float, float]] = list(now.tables)
    seen: list[tuple[float, float, str]] = []
    for number, (start, end, route) in enumerate(_requests(rnd, now, seconds)):
        held = now.held_bytes * rnd.gauss(1, 0.1)
        memory += [(start, held), (end, -held)]
        kept = now.kept_bytes.get(route, 0.0) * rnd.uniform(0.5, 1.5)
        memory.append((rnd.uniform(start, end), kept))
        faded, lifetime = now.faded.get(route, (0.0, 1.0))
        if faded:
            memory += [(end, faded), (end + rnd.expovariate(1 / lifetime), -faded)]
        memory.append((end, now.garbage_bytes))
        if number % now.collected_after == now.collected_after - 1:
            memory.append((end, -now.garbage_bytes * now.collected_after))
        if rnd.random() < now.probability:
            seen.append((start, end, route))
    looks = [0.0]
    while looks[-1] < seconds:
        looks.append(looks[-1] + every_seconds * rnd.uniform(0.98, 1.05))
    counted = [look + rnd.expovariate(1 / now.late_seconds) for look in looks]
    return _record(_levels(rnd, now, looks, memory), looks, _finished(now, counted, seen))


def _requests(
    rnd: random.Random, now: Circumstances, seconds: float
) -> list[tuple[float, float, str]]:
    """Return begin, end and route of each request, in the order of their begins."""
    pace = max(0.005, now.clients / 200)
    requests = []
    routes, sums = now.routes, list(accumulate(now.shares.values()))
    waiting = [(rnd.expovariate(1 / pace), client) for client in range(now.clients)]
    heapq.heapify(waiting)
    while waiting[0][0] < seconds:
        start, client = waiting[0]
        end = start + rnd.expovariate(1 / now.service_seconds)
        route = rnd.choices(routes, cum_weights=sums)[0] if sums else rnd.choice(routes)
        requests.append((start, end, route))
        swing = 1 + now.load_swing * math.sin(2 * math.pi * start / 60)
        heapq.heapreplace(waiting, (end + rnd.expovariate(swing / pace), client))
    return requests


def _levels(
    rnd: random.Random,
    now: Circumstances,
    looks: Sequence[float],
    memory: list[tuple[float, float]],
) -> list[float]:
    """Return the live bytes at each look."""
    memory.sort(key=itemgetter(0))
    times = [time for time, _ in memory]
    sums = [0.0, *accumulate(size for _, size in memory)]
    levels = []
    wandered = before = 0.0
    for look in looks:
        wandered += rnd.gauss(0, now.wander_bytes * math.sqrt(look - before))
        warm = now.warm_up_bytes * (1 - math.exp(-look / 5))
        spike = now.spike_bytes if rnd.random() < now.spike_share else 0.0
        level = sums[bisect_right(times, look)] + wandered + warm + spike
        levels.append(level + rnd.gauss(0, now.jitter_bytes))
        before = look
    return levels


def _finished(
    now: Circumstances, counted: Sequence[float], seen: Sequence[tuple[float, float, str]]
) -> list[Finished]:
    """Return what is known of the requests at each look."""
    eras = [Finished() for _ in range(len(counted) + 1)]
    for start, end, route in seen:
        begun, ended = bisect_right(counted, start), bisect_right(counted, end)
        eras[begun].begun += 1
        eras[ended].counts[route] += 1
        eras[ended].stands_for += 1 / now.probability
        if begun < ended:
            eras[ended].carried.append((route, begun))
    return eras


def _record(
    levels: Sequence[float], looks: Sequence[float], finished: Sequence[Finished]
) -> RouteRecord:
    record = RouteRecord(first_era=1)
    for era in range(1, len(looks)):
        record.append(
            looks[era] - looks[era - 1], levels[era] - levels[era - 1], finished[era], era
        )
    return record
