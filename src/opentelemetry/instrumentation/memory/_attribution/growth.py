"""Two looks at the heap beside each other: which types and which containers became more."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nlargest
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.census import (
    LEAST_LENGTH,
    Census,
    take_census,
)
from opentelemetry.instrumentation.memory._attribution.class_names import type_name
from opentelemetry.instrumentation.memory._attribution.lengths import Lengths
from opentelemetry.instrumentation.memory._attribution.walk import Walk
from opentelemetry.instrumentation.memory.evidence import TypeGrowth

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from opentelemetry.instrumentation.memory._attribution.listing import ObjectLists
    from opentelemetry.instrumentation.memory._sampling.clock import Clock

LEAST_GROWTH: Final = 4
"""Fewer additional entries are not told: every busy process has containers that breathe."""

# What was too short to be remembered the first time, or did not exist, must have become this long.
_LEAST_OF_NEW: Final = 64
_MOST_GROWN: Final = 40
_MOST_NEW: Final = 10
_MOST_TYPES: Final = 10
_LENGTHS_PER_STEP: Final = 2_000
_GC_HEADER_BYTES: Final = 16
_OWN: Final = f"{__name__.partition('._attribution')[0]}."

_basic_bytes_of: Final[Any] = type.__dict__["__basicsize__"].__get__


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at one time, in numbers.

    Attributes:
        census: All objects; None where that would have taken too long.
        walk: What can be reached from modules.
        taken_at_seconds: When.
    """

    census: Census | None
    walk: Walk
    taken_at_seconds: float

    def keep_lengths(self) -> None:
        """Let go of all that the comparison with a later look does not need."""
        self.walk.keep_lengths()
        if self.census:
            self.census.keep_lengths()

    def keep_ways(self) -> Generator[float, None, None]:
        """Let go of all but the way to what was found, step by step."""
        yield from self.walk.keep_ways()
        if self.census:
            self.census.lengths = Lengths()

    def own_identities(self) -> set[int]:
        """Return the identities of what this look itself is made of."""
        own = {id(each) for each in self.walk.own_containers()}
        if self.census:
            census = self.census
            own |= set(map(id, (census.counts, census.subclasses, census.types)))
        return own


@dataclass(frozen=True, slots=True)
class Grown:
    """A container that has more entries than it had, by identity."""

    identity: int
    before: int
    after: int


def look(
    clock: Clock, lists: ObjectLists | None, types: dict[int, type]
) -> Generator[float, None, Look]:
    """Look once; afterwards only numbers are held, and the classes until `Census.forget`.

    Args:
        clock: What steps are measured by.
        lists: Makes the list of all objects; None where there is to be no census.
        types: Where the classes are kept until `Census.forget`; empty.
    """
    walk = Walk(clock)
    yield from walk.run()
    census = None
    if lists is not None:
        census = yield from take_census(lists, types)
    return Look(census, walk, clock.now())


def grown_containers(first: Look, second: Look) -> Generator[float, None, list[Grown]]:
    """Return the containers that grew most, by entries; those that were known before come first.

    Args:
        first: After `keep_lengths`.
        second: As it is.
    """
    own = first.own_identities() | second.own_identities()
    grown: dict[int, Grown] = {}
    new: dict[int, int] = {}
    looks: list[tuple[Mapping[int, tuple[int, int]], Lengths, int]] = [
        (first.walk.remembered or {}, second.walk.lengths, LEAST_LENGTH)
    ]
    if first.census and second.census:
        known: Mapping[int, tuple[int, int]] = first.census.remembered or {}
        looks.append((known, second.census.lengths, first.census.shortest))
    for before, after, least in looks:
        for count, (identity, entries, kind) in enumerate(after):
            past, past_kind = before.get(identity, (None, kind))
            if past is None:
                if entries >= max(_LEAST_OF_NEW, 2 * least):
                    new[identity] = entries
            # Another class: another object in the same place.
            elif past_kind == kind and entries - past >= LEAST_GROWTH and identity not in own:
                grown[identity] = Grown(identity, past, entries)
            if count % _LENGTHS_PER_STEP == 0:
                yield 0.0
    best = sorted(grown.values(), key=lambda each: each.before - each.after)[:_MOST_GROWN]
    rest = nlargest(_MOST_NEW, new.keys() - grown.keys() - own, key=new.__getitem__)
    return best + [Grown(identity, 0, new[identity]) for identity in rest]


def grown_types(first: Census, second: Census) -> tuple[TypeGrowth, ...]:
    """Return the types of which there are more objects, the largest growth in bytes first."""
    growths = [
        (identity, count - first.counts[identity], _object_bytes(second.types[identity]))
        for identity, count in second.counts.items()
        if count - first.counts[identity] >= LEAST_GROWTH and identity in second.types
    ]
    growths.sort(key=lambda growth: -growth[1] * growth[2])
    named = (
        TypeGrowth(
            type_name(second.types[identity]),
            first.counts[identity],
            second.counts[identity],
            more * size,
        )
        for identity, more, size in growths
    )
    return tuple(islice((each for each in named if not is_own(each.type_name)), _MOST_TYPES))


def is_own(name: str) -> bool:
    """Tell whether a type is of this package, whose history fills up while it looks."""
    return name.startswith(_OWN)


def _object_bytes(cls: type) -> int:
    return int(_basic_bytes_of(cls)) + _GC_HEADER_BYTES
