"""Growth and counts, interval by interval, in bounded space."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from itertools import compress
from operator import add
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_INTERVALS: Final = 600
_LONGEST_IN_MEDIANS: Final = 5.0


@dataclass(slots=True)
class Finished:
    """What happened to requests, or to what `track` names, since the last interval.

    Attributes:
        counts: What finished, as far as seen, by name.
        stands_for: How many that stands for.
        begun: How many began, as far as seen.
        carried: Name and first era of those that finished in a later era than they began in.
    """

    counts: Counter[str] = field(default_factory=Counter)
    stands_for: float = 0.0
    begun: int = 0
    carried: list[tuple[str, int]] = field(default_factory=list)

    def add(self, later: Finished, most_carried: int) -> None:
        """Add what happened next."""
        self.counts.update(later.counts)
        self.stands_for += later.stands_for
        self.begun += later.begun
        self.carried = [*self.carried, *later.carried][-most_carried:]


class RouteRecord:
    """What happened in each interval; when it is full, neighbours are put together in pairs.

    At most 600 intervals of 100 names each: a megabyte. One thread appends; another may copy at any
    time.

    Args:
        first_era: The number of the first era in it.

    Attributes:
        seconds: The length of each interval.
        growth: Growth of the level in it, in bytes.
        columns: What finished in it, by name.
        carried: By how many more there were in flight at its end than at its beginning, by name;
            known when they have finished.
        in_flight: The same of all together, which is known at once.
        stands_for: How many all of the counts stand for.
    """

    def __init__(self, first_era: int = 0) -> None:
        self._first_era = first_era
        self.seconds = array("d")
        self.growth = array("d")
        self.columns: dict[str, array[float]] = {}
        self.carried: dict[str, array[float]] = {}
        self.in_flight = array("d")
        self.stands_for = 0.0
        self._eras = array("q")

    def append(self, seconds: float, growth: float, finished: Finished, era: int = 0) -> None:
        """Add the newest interval.

        Args:
            seconds: Its length.
            growth: Growth of the level in it, in bytes.
            finished: What happened in it.
            era: The number of the last era in it.
        """
        for columns in (self.columns, self.carried):
            for column in tuple(columns.values()):
                column.append(0)
            for name in finished.counts:
                if name not in columns:
                    columns[name] = array("d", [0.0] * (len(self.seconds) + 1))
        for name, number in finished.counts.items():
            self.columns[name][-1] = number
        self.in_flight.append(finished.begun - finished.counts.total())
        self.seconds.append(seconds)
        self._eras.append(era)
        self.stands_for += finished.stands_for
        for name, first_era in finished.carried:
            self._carry(name, first_era)
        # Last, since its length is what a reader goes by.
        self.growth.append(growth)

    def is_full(self) -> bool:
        """Tell whether neighbours must be put together before more is added."""
        return len(self.growth) >= MOST_INTERVALS

    def halved(self) -> RouteRecord:
        """Return the same record with intervals twice as long."""
        half = RouteRecord(self._first_era)
        half.seconds, half.growth = _in_pairs(self.seconds), _in_pairs(self.growth)
        half.columns = {name: _in_pairs(column) for name, column in self.columns.items()}
        half.carried = {name: _in_pairs(column) for name, column in self.carried.items()}
        half.in_flight = _in_pairs(self.in_flight)
        half.stands_for = self.stands_for
        half._eras = self._eras[1::2]
        return half

    def copy(self, length: int) -> RouteRecord:
        """Return a copy of the first intervals that nobody appends to."""
        other = RouteRecord(self._first_era)
        other.seconds, other.growth = self.seconds[:length], self.growth[:length]
        other.in_flight = self.in_flight[:length]
        other._eras = self._eras[:length]
        other.columns = _copied(self.columns, length)
        other.carried = _copied(self.carried, length)
        other.stands_for = self.stands_for
        return other

    def uninterrupted(self) -> list[bool]:
        """Return which intervals are no interruption of the watch, nor the end of one.

        While another inquiry holds much memory there are no samples, and what comes and goes in
        that long interval is its own. One such would outweigh all others.
        """
        if not self.seconds:
            return []
        longest = _LONGEST_IN_MEDIANS * median(self.seconds)
        usual = [length <= longest for length in self.seconds]
        return [now and before for now, before in zip(usual, [True, *usual], strict=False)]

    def chosen(self, places: Sequence[bool]) -> RouteRecord:
        """Return a copy of some intervals alone; nothing can be added to it."""
        other = RouteRecord(self._first_era)
        other.seconds = array("d", compress(self.seconds, places))
        other.growth = array("d", compress(self.growth, places))
        other.in_flight = array("d", compress(self.in_flight, places))
        for mine, others in ((self.columns, other.columns), (self.carried, other.carried)):
            for name, column in mine.items():
                others[name] = array("d", compress(column, places))
        seen, left = (sum(map(sum, each.columns.values())) for each in (self, other))
        other.stands_for = self.stands_for * left / seen if seen else 0.0
        return other

    def watched_seconds(self) -> float:
        """Return how long it spans."""
        return sum(self.seconds)

    def _carry(self, name: str, first_era: int) -> None:
        """Note one that finished in the last interval, and was in flight at ends before."""
        column = self.carried.get(name)
        if column is None:
            return
        column[-1] -= 1
        if first_era >= self._first_era:
            column[bisect_left(self._eras, first_era)] += 1


def _in_pairs(column: array[float]) -> array[float]:
    return array("d", map(add, column[::2], column[1::2]))


def _copied(columns: dict[str, array[float]], length: int) -> dict[str, array[float]]:
    copies = {name: column[:length] for name, column in tuple(columns.items())}
    return {name: column for name, column in copies.items() if len(column) == length}
