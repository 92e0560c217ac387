"""Lengths of many containers, in a few bytes each and out of the garbage collector's sight.

A tuple for each would be an object that the collector counts: tens of thousands of them, kept for
seconds, make it run more often, at times over the whole heap, and that stops every thread.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, repeat
from typing import Final

REMEMBERED_BYTES: Final = 24
"""What one takes up."""


class Lengths:
    """The entries and the class's identity of containers, each of which is added once."""

    def __init__(self) -> None:
        self._identities = array("Q")
        self._entries = array("Q")
        self._kinds = array("Q")

    def __len__(self) -> int:
        return len(self._identities)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        return zip(self._identities, self._entries, self._kinds, strict=True)

    @property
    def shortest(self) -> int:
        """The least number of entries; 0 where there are no containers."""
        return min(self._entries, default=0)

    def add(self, identity: int, entries: int, kind: int) -> None:
        """Add one container."""
        self._identities.append(identity)
        self._entries.append(entries)
        self._kinds.append(kind)

    def extend(self, identities: Iterable[int], entries: Iterable[int], kind: int) -> None:
        """Add containers of one class."""
        self._identities.extend(identities)
        self._entries.extend(entries)
        self._kinds.extend(repeat(kind, len(self._identities) - len(self._kinds)))

    def keep_longest(self, most: int) -> None:
        """Let go of all but the longest."""
        if len(self) <= most:
            return
        entries = self._entries
        least = sorted(entries)[-most]
        places = [place for place, each in enumerate(entries) if each > least]
        ties = (place for place, each in enumerate(entries) if each == least)
        self._arrange([*places, *islice(ties, most - len(places))])

    def remember(self) -> RememberedLengths:
        """Return the same to be looked up, and let go of all."""
        self._arrange(sorted(range(len(self)), key=self._identities.__getitem__))
        remembered = RememberedLengths(self._identities, self._entries, self._kinds)
        self._arrange([])
        return remembered

    def _arrange(self, places: list[int]) -> None:
        self._identities, self._entries, self._kinds = (
            array("Q", map(each.__getitem__, places))
            for each in (self._identities, self._entries, self._kinds)
        )


class RememberedLengths(Mapping[int, "tuple[int, int]"]):
    """Entries and the class's identity by the identity of the container.

    They are kept for minutes, in a process that is suspected of growth.

    Args:
        identities: Of the containers, in ascending order.
        entries: In the same order.
        kinds: The same.
    """

    def __init__(self, identities: array[int], entries: array[int], kinds: array[int]) -> None:
        self._identities = identities
        self._entries = entries
        self._kinds = kinds

    def __getitem__(self, identity: int) -> tuple[int, int]:
        place = bisect_left(self._identities, identity)
        if place == len(self._identities) or self._identities[place] != identity:
            raise KeyError(identity)
        return self._entries[place], self._kinds[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self._identities)

    def __len__(self) -> int:
        return len(self._identities)
