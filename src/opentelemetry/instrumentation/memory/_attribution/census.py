"""One look at every object that the garbage collector knows: how many of a type, how long a list.

Objects are counted by the identities of their classes at the speed of C, and only numbers are kept.
The list of all objects is the one dear thing: it keeps what the application lets go of alive for as
long as it is held, and what dies meanwhile dies in this thread. So it is held for some 10 ms per
100 000 objects, never across a rest, and gets shorter as the census goes on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.holding import holding, move_last
from opentelemetry.instrumentation.memory._attribution.lengths import (
    REMEMBERED_BYTES,
    Lengths,
    RememberedLengths,
)
from opentelemetry.instrumentation.memory._attribution.looking import LengthTable
from opentelemetry.instrumentation.memory._attribution.naming import derives_from

if TYPE_CHECKING:
    from collections.abc import Container, Generator, Iterator

    from opentelemetry.instrumentation.memory._attribution.listing import ObjectLists

LEAST_LENGTH: Final = 8
"""Shorter containers are not remembered."""

MOST_CONTAINERS: Final = 20_000
_MOST_TYPES: Final = 20_000
# 2 to 5 ms of work.
_CHUNK: Final = 8_000

_base_of: Final[Any] = type.__dict__["__base__"].__get__


@dataclass(slots=True)
class Census:
    """What one look at the heap found, in numbers.

    Attributes:
        counts: Objects by the identity of their class.
        lengths: Of the containers.
        subclasses: Direct subclasses by the identity of the base.
        types: The classes by identity; only until `forget`.
        objects: How many objects there were.
        remembered: `lengths` after `keep_lengths`.
        shortest: The least length that a container must have had to be among them.
    """

    counts: Counter[int] = field(default_factory=Counter)
    lengths: Lengths = field(default_factory=Lengths)
    subclasses: Counter[int] = field(default_factory=Counter)
    types: dict[int, type] = field(default_factory=dict)
    objects: int = 0
    remembered: RememberedLengths | None = None
    shortest: int = LEAST_LENGTH

    def forget(self) -> None:
        """Let go of every object, and of the numbers that are too many."""
        self.types.clear()
        self.lengths.keep_longest(MOST_CONTAINERS)
        if len(self.counts) > _MOST_TYPES:
            self.counts = Counter(dict(self.counts.most_common(_MOST_TYPES)))

    def keep_lengths(self) -> None:
        """Do the same, and keep the lengths in less memory."""
        self.forget()
        if len(self.lengths) >= MOST_CONTAINERS:
            self.shortest = self.lengths.shortest
        self.remembered = self.lengths.remember()

    @property
    def memory_bytes(self) -> int:
        """What the numbers take up, by estimate."""
        lengths = len(self.lengths) + len(self.remembered or ())
        return REMEMBERED_BYTES * lengths + 110 * (len(self.counts) + len(self.subclasses))


def take_census(lists: ObjectLists, types: dict[int, type]) -> Generator[float, None, Census]:
    """Count, step by step; the objects are held until this generator ends or is closed.

    Args:
        lists: Makes the list of all objects.
        types: Where the census keeps the classes until `Census.forget`; empty.
    """
    census = Census(types=types)
    table = LengthTable()
    # Oldest last, and the oldest generation is the largest: it is let go of first.
    chunk, kinds, members = list[Any](), list[type](), list[Any]()
    with holding(chunk, kinds, members), lists.take() as objects:
        census.objects = len(objects)
        yield 0.0
        while objects:
            move_last(objects, chunk, _CHUNK)
            _count(chunk, kinds, members, table, census)
            chunk.clear()
            yield 0.0
        census.subclasses.update(_bases(census.types))
    return census


def _count(
    chunk: list[Any], kinds: list[type], members: list[Any], table: LengthTable, census: Census
) -> None:
    """Count what is in a chunk; `kinds` and `members` are empty before and after."""
    kinds.extend(map(type, chunk))
    # By identity: to hash or compare classes may call a metaclass.
    identities = list(map(id, kinds))
    census.counts.update(identities)
    census.types.update(zip(identities, kinds, strict=True))
    kinds.clear()
    for kind in (dict, list):
        members.extend(compress(chunk, map(id(kind).__eq__, identities)))
        lengths = list(map(len, members))
        is_long = list(map(LEAST_LENGTH.__le__, lengths))
        census.lengths.extend(
            map(id, compress(members, is_long)), compress(lengths, is_long), id(kind)
        )
        members.clear()
    # Everything else is rare enough to be asked one by one.
    met = {identity: table.reader_of(census.types[identity]) for identity in set(identities)}
    rare = {
        identity: read
        for identity, read in met.items()
        if read is not None and identity not in (id(dict), id(list))
    }
    for each, identity in _of(rare, chunk, identities):
        entries = rare[identity](each)
        if entries >= LEAST_LENGTH:
            census.lengths.add(id(each), entries, identity)
    metaclasses = {identity for identity in met if derives_from(census.types[identity], type)}
    census.types.update((id(each), each) for each, _ in _of(metaclasses, chunk, identities))
    if len(census.lengths) > 2 * MOST_CONTAINERS:
        census.lengths.keep_longest(MOST_CONTAINERS)


def _of(
    wanted: Container[int], chunk: list[Any], identities: list[int]
) -> Iterator[tuple[Any, int]]:
    pairs = zip(chunk, identities, strict=True)
    return compress(pairs, map(wanted.__contains__, identities))


def _bases(types: dict[int, type]) -> Iterator[int]:
    # `object` has none.
    return (id(base) for base in map(_base_of, types.values()) if base is not None)
