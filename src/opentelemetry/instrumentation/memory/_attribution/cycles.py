"""Objects that only the cyclic garbage collector could free, while it is off."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from typing import Any, Final

_MOST_OBJECTS: Final = 300
_RARE: Final = 1_000_000


def why_nothing_is_collected() -> str | None:
    """Return what keeps the garbage collector from running, or None when it runs."""
    if not gc.isenabled():
        return "gc.disable() is in force"
    threshold = gc.get_threshold()[0]
    if threshold == 0:
        return "gc.set_threshold(0) is in force"
    if threshold >= _RARE:
        return f"gc.set_threshold({threshold}) is in force"
    return None


def garbage_among(samples: list[Any]) -> int:
    """Return how many of these objects nothing but a cycle refers to, besides this very list.

    What each refers to, up to 300 objects, is treated as the garbage collector treats a generation:
    references from within are taken off the counts, and whatever is left over is referred to from
    outside. An object that refers to more than that is taken to be alive.
    """
    ours = Counter(map(id, samples))
    return sum(_is_garbage(samples, at, ours) for at in range(len(samples)))


def _is_garbage(samples: list[Any], at: int, ours: Counter[int]) -> bool:
    members: dict[int, Any] = {id(samples[at]): samples[at]}
    below: dict[int, list[int]] = {}
    inside: Counter[int] = Counter()
    queue = list(members)
    while queue:
        identity = queue.pop()
        below[identity] = []
        if _is_program(members[identity]):
            continue
        for child in gc.get_referents(members[identity]):
            below[identity].append(id(child))
            inside[id(child)] += 1
            if id(child) not in members:
                if len(members) >= _MOST_OBJECTS:
                    return False
                members[id(child)] = child
                queue.append(id(child))
        child = None
    alive = [
        identity
        for identity in members
        if sys.getrefcount(members[identity]) > inside[identity] + ours[identity] + _OWN_REFERENCES
    ]
    reached = set(alive)
    while alive:
        for identity in below[alive.pop()]:
            if identity not in reached:
                reached.add(identity)
                alive.append(identity)
    return id(samples[at]) not in reached


def _is_program(each: object) -> bool:
    """Return whether an object is part of the program: what it refers to is not followed."""
    return any(base in _PROGRAM for base in map(id, type.__dict__["__mro__"].__get__(type(each))))


_PROGRAM: Final = frozenset(map(id, (type, type(sys), type(_is_program), type(gc.collect))))


def _own_references() -> int:
    """Return what `sys.getrefcount` says of what only a dictionary of ours refers to."""
    holder = {0: object()}
    return sys.getrefcount(holder[0])


_OWN_REFERENCES: Final = _own_references()
