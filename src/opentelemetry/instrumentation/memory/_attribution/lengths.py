"""Lengths of many containers, in a few bytes each."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final

REMEMBERED_BYTES: Final = 24
"""What one takes up here; in a dictionary it is ten times as much."""


class RememberedLengths(Mapping[int, "tuple[int, int]"]):
    """Entries and the class's identity by the identity of the container.

    They are kept for minutes, in a process that is suspected of growth.

    Args:
        lengths: The same as a dictionary.
    """

    def __init__(self, lengths: Mapping[int, tuple[int, int]]) -> None:
        identities = sorted(lengths)
        self._identities = array("Q", identities)
        self._entries = array("Q", (lengths[each][0] for each in identities))
        self._kinds = array("Q", (lengths[each][1] for each in identities))

    def __getitem__(self, identity: int) -> tuple[int, int]:
        place = bisect_left(self._identities, identity)
        if place == len(self._identities) or self._identities[place] != identity:
            raise KeyError(identity)
        return self._entries[place], self._kinds[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self._identities)

    def __len__(self) -> int:
        return len(self._identities)
