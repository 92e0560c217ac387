"""What the entries of a container seem to hold: an estimate from a few of them."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.looking import (
    element_name,
    length,
    newest,
    newest_keys,
    shallow_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_SAMPLE: Final = 50
_MOST_NAMES: Final = 5
_MOST_OBJECTS: Final = 2000
_DEEPEST: Final = 5


def bytes_per_entry(container: object) -> float:
    """Return the mean size of the newer entries with what they alone hold, without the table.

    An object counts as held alone when as many references to it exist as its holder explains. At
    most 2000 objects are looked at.
    """
    entries, keys = newest(container, _SAMPLE), newest_keys(container, _SAMPLE)
    if not entries:
        return 0.0
    total, seen = 0, {id(container)}
    left = _MOST_OBJECTS
    for entry in chain(entries, keys):
        if id(entry) in seen:
            continue
        seen.add(id(entry))
        size, looked_at = _held_bytes(entry, seen, max(left // _SAMPLE, 20))
        total += size
        left -= looked_at
        if left <= 0:
            break
    return total / len(entries)


def table_bytes_per_entry(container: object) -> float:
    """Return what the container itself takes up for each entry."""
    entries = length(container)
    return shallow_bytes(container) / entries if entries else 0.0


def element_types(
    container: object, name_of: Callable[[Any], str] = element_name
) -> tuple[tuple[str, int], ...]:
    """Return what the newer entries are, the most frequent first."""
    names = Counter(map(name_of, newest(container, _SAMPLE)))
    return tuple(names.most_common(_MOST_NAMES))


def _held_bytes(entry: object, seen: set[int], most: int) -> tuple[int, int]:
    total, looked_at = 0, 0
    level = [entry]
    for _ in range(_DEEPEST):
        below: list[object] = []
        while level and looked_at < most:
            each = level.pop()
            total += shallow_bytes(each)
            looked_at += 1
            if gc.is_tracked(each) or type(each) is dict:
                children = gc.get_referents(each)
                below += _held_alone(children, seen) if len(children) <= most else []
        level = below
    return total, looked_at


def _held_alone(children: list[object], seen: set[int]) -> list[object]:
    counts = list(map(sys.getrefcount, children))
    alone = []
    for child, count in zip(children, counts, strict=True):
        if count <= _BASE_COUNT and id(child) not in seen:
            seen.add(id(child))
            alone.append(child)
    return alone


def _count_of_one_holder() -> int:
    """Return what `sys.getrefcount` says here of an object with a single holder.

    It counts this module's own list and arguments too, how many of them differs between versions.
    """
    holder = [object()]
    children = list(holder)
    return next(map(sys.getrefcount, children))


_BASE_COUNT: Final = _count_of_one_holder()
