"""Growth and counts, interval by interval, in bounded space."""

from __future__ import annotations

from array import array
from operator import add
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_INTERVALS: Final = 600


class RouteRecord:
    """What happened in each interval; when it is full, neighbours are put together in pairs.

    At most 600 intervals of 100 names each: half a megabyte. One thread appends; another may copy
    at any time.
    """

    def __init__(self) -> None:
        self.seconds = array("d")
        self.growth = array("d")
        self.columns: dict[str, array[float]] = {}
        self.stands_for = 0.0

    def append(
        self, seconds: float, growth: float, counts: Mapping[str, int], stands_for: float
    ) -> None:
        """Add the newest interval.

        Args:
            seconds: Its length.
            growth: Growth of the level in it, in bytes.
            counts: What finished in it, as far as seen, by name.
            stands_for: How many that stands for.
        """
        for name, column in tuple(self.columns.items()):
            column.append(counts.get(name, 0))
        for name, number in counts.items():
            if name not in self.columns:
                self.columns[name] = array("d", [*[0.0] * len(self.seconds), number])
        self.seconds.append(seconds)
        self.stands_for += stands_for
        # Last, since its length is what a reader goes by.
        self.growth.append(growth)

    def is_full(self) -> bool:
        """Tell whether neighbours must be put together before more is added."""
        return len(self.growth) >= MOST_INTERVALS

    def halved(self) -> RouteRecord:
        """Return the same record with intervals twice as long."""
        half = RouteRecord()
        half.seconds, half.growth = _in_pairs(self.seconds), _in_pairs(self.growth)
        half.columns = {name: _in_pairs(column) for name, column in self.columns.items()}
        half.stands_for = self.stands_for
        return half

    def copy(self) -> RouteRecord:
        """Return a copy that nobody appends to."""
        length = len(self.growth)
        other = RouteRecord()
        other.seconds, other.growth = self.seconds[:length], self.growth[:length]
        columns = {name: column[:length] for name, column in tuple(self.columns.items())}
        other.columns = {name: each for name, each in columns.items() if len(each) == length}
        other.stands_for = self.stands_for
        return other

    def watched_seconds(self) -> float:
        """Return how long it spans."""
        return sum(self.seconds)


def _in_pairs(column: array[float]) -> array[float]:
    return array("d", map(add, column[::2], column[1::2]))
