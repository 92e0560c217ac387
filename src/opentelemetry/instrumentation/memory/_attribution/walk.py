"""A bounded search from modules, running functions and tasks for containers, nearest first.

It finds what a census cannot see, a dictionary of texts and numbers, which the garbage collector
does not track; and it knows how to get to what it has found. It follows what the garbage collector
would follow, asks nothing of the objects, and keeps numbers only.
"""

from __future__ import annotations

import gc
import sys
from array import array
from bisect import bisect_left
from inspect import CO_OPTIMIZED
from itertools import islice
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any, Final
from weakref import ReferenceType

from opentelemetry.instrumentation.memory._attribution.census import LEAST_LENGTH
from opentelemetry.instrumentation.memory._attribution.holding import holding
from opentelemetry.instrumentation.memory._attribution.lengths import (
    REMEMBERED_BYTES,
    Lengths,
    RememberedLengths,
)
from opentelemetry.instrumentation.memory._attribution.looking import (
    LARGE,
    LengthTable,
    newest,
    oldest,
    text_at,
)
from opentelemetry.instrumentation.memory._attribution.naming import (
    FUNCTION,
    NAMES_OF_PROGRAM,
    derives_from,
    namespace_of,
)
from opentelemetry.instrumentation.memory._attribution.suspended import (
    RUN_BY_TASKS,
    a_few_of_each,
    frame_of,
    suspended_name,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from opentelemetry.instrumentation.memory._sampling.clock import Clock

MOST_NODES: Final = 60_000
OWN_MODULES: Final = "opentelemetry.instrumentation.memory"

_STEP_SECONDS: Final = 0.008
_NODES_BETWEEN_CLOCKS: Final = 64
_DEEPEST: Final = 12
# From a module to its function, to the function's defaults, to a list among them.
_OWN_STEPS: Final = 3
# And on to a queue within what the application keeps in its framework's object.
_STEPS_ON: Final = 7
_FEW: Final = 200
_FAR: Final = 3

_namespace_of_class: Final[Any] = type.__dict__["__dict__"].__get__

# What cannot lead to anything that grows, and is met very often.
_LEAVES: Final = frozenset(
    id(kind)
    for kind in (
        str, bytes, int, float, bool, complex, type(None), range, slice, type(Ellipsis),
        type(NotImplemented), CodeType, BuiltinFunctionType, GetSetDescriptorType,
        MemberDescriptorType, MethodDescriptorType, WrapperDescriptorType, ReferenceType,
    )
)  # fmt: skip


class Walk:
    """One search; `lengths` and the ways to what was found are read when it has ended.

    Args:
        clock: What a step's length is measured by.
        most_nodes: After so many objects it ends.
    """

    def __init__(self, clock: Clock, most_nodes: int = MOST_NODES) -> None:
        self.lengths = Lengths()
        self.remembered: RememberedLengths | None = None
        self._clock = clock
        self._most_nodes = most_nodes
        self._places: dict[int, int] = {}
        self._parents = array("l")
        self._identities = array("Q")
        self._ascending, self._places_ascending = array("Q"), array("l")
        self._roots: list[str | int] = []

    @property
    def memory_bytes(self) -> int:
        """What this search remembers, by estimate."""
        lengths = len(self.lengths) + len(self.remembered or ())
        ways = 130 * len(self._places) + 32 * len(self._ascending)
        return ways + REMEMBERED_BYTES * lengths

    def keep_lengths(self) -> None:
        """Let go of all else: from here on nothing can be found but `remembered`."""
        self._places.clear()
        self._parents, self._identities = array("l"), array("Q")
        self.remembered = self.lengths.remember()

    def keep_ways(self) -> Generator[float, None, None]:
        """Let go of lengths, and keep the way to all that was found in a quarter of the memory."""
        self.lengths = Lengths()
        self._ascending = array("Q", sorted(self._places))
        yield 0.0
        places = map(self._places.__getitem__, self._ascending)
        self._places_ascending = array("l", places)
        self._places.clear()

    def own_containers(self) -> list[object]:
        """Return what this search remembers itself by, for it to be left out."""
        return [self._places, self._roots]

    def run(self) -> Generator[float, None, None]:
        """Search, step by step; the objects on the edge of the search are held until it ends.

        The application's modules come first, and as far as a function's default or an instance's
        attribute is from its module: whatever else refers to what they hold, they are its place.
        Then what the application's objects hold, as deep as `app.state.jobs._queue` is; functions,
        classes and modules that they lead to are put off, for libraries are large.
        """
        own, program, others = list[object](), list[object](), list[object]()
        near, below = list[object](), list[object]()
        with holding(own, program, others, near, below):
            own_places, program_places, other_places = self._begin(own, program, others)
            near_places = array("l")
            half = self._most_nodes // 2
            for level, first in ((own, own_places), (program, program_places)):
                near_places += yield from self._search(level, first, below, _OWN_STEPS, half)
                near += level
                level.clear()
            aside = others, other_places
            other_places += yield from self._search(
                near, near_places, below, _STEPS_ON, half, aside=aside
            )
            others += near
            near.clear()
            yield from self._search(others, other_places, below, _DEEPEST, self._most_nodes)

    def _search(  # noqa: PLR0913 - each is one thing
        self,
        level: list[object],
        places: array[int],
        below: list[object],
        steps: int,
        most: int,
        *,
        aside: tuple[list[object], array[int]] | None = None,
    ) -> Generator[float, None, array[int]]:
        """Go on from these objects; afterwards `level` has those to go on from, places returned.

        Code goes `aside` instead, with its place, where that is given.
        """
        table = LengthTable()
        began = self._clock.now()
        for _ in range(steps):
            if not level or len(self._places) >= most:
                break
            # What is found has its places in the order in which it is found, so the objects alone
            # say all: a tuple with its place for each is what the garbage collector would count.
            first_below = len(self._parents)
            for count, (each, place) in enumerate(zip(level, places, strict=True)):
                if aside is not None and _is_code(type(each), table):
                    aside[0].append(each)
                    aside[1].append(place)
                else:
                    self._expand(each, place, table, below)
                if len(self._places) >= most:
                    break
                if count % _NODES_BETWEEN_CLOCKS == 0 and self._clock.now() - began > _STEP_SECONDS:
                    yield 0.0
                    began = self._clock.now()
            level[:] = below
            below.clear()
            places = array("l", range(first_below, len(self._parents)))
        return places

    def chain_to(self, identity: int) -> tuple[str | int, list[int]] | None:
        """Return a root, see `roots`, and the identities from there on."""
        place = self._place_of(identity)
        if place is None:
            return None
        chain = []
        while True:
            parent = self._parents[place]
            chain.append(self._identities[place])
            if parent < 0:
                return self._roots[-parent - 1], chain[::-1]
            place = parent

    def _place_of(self, identity: int) -> int | None:
        if self._places:
            return self._places.get(identity)
        at = bisect_left(self._ascending, identity)
        is_known = at < len(self._ascending) and self._ascending[at] == identity
        return self._places_ascending[at] if is_known else None

    def _begin(self, *groups: list[object]) -> tuple[array[int], ...]:
        """Fill in where to begin, and return the places of each group.

        Args:
            groups: The application's modules, the program that was started, and all else.
        """
        places = tuple(array("l") for _ in groups)
        for root, each in roots():
            if id(each) in self._places:
                continue
            self._roots.append(root)
            distance = _distance(root, namespace_of(each)) if isinstance(root, str) else _FAR
            group = min(distance, len(groups) - 1)
            groups[group].append(each)
            places[group].append(len(self._parents))
            self._add(each, -len(self._roots))
        return places

    def _add(self, each: object, parent: int) -> None:
        self._places[id(each)] = len(self._parents)
        self._parents.append(parent)
        self._identities.append(id(each))

    def _expand(self, each: object, place: int, table: LengthTable, below: list[object]) -> None:
        places, read = self._places, table.reader_of(type(each))
        entries = None if read is None else read(each)
        if table.is_plain(type(each)) and (entries is None or entries <= LARGE):
            found = gc.get_referents(each)
        else:
            found = children(each, entries)
        # Of ten that are referred to nine lead nowhere or are known.
        fresh = [
            child for child in found if id(type(child)) not in _LEAVES and id(child) not in places
        ]
        for child in fresh:
            kind = type(child)
            if id(child) in places or (kind is FunctionType and not _has_state(child)):
                continue
            below.append(child)
            self._add(child, place)
            read = table.reader_of(kind)
            if read is not None and (length := read(child)) >= LEAST_LENGTH:
                self.lengths.add(id(child), length, id(kind))


def roots() -> Iterator[tuple[str | int, object]]:
    """Yield modules by name, the application's first, running functions by thread, coroutines."""
    modules = [
        (name, module)
        for name, module in list(sys.modules.items())
        if type(name) is str and not name.startswith(OWN_MODULES)
    ]
    yield from sorted(modules, key=lambda item: _distance(item[0], namespace_of(item[1])))
    yield from ((thread, frame) for thread, frame in frames())
    yield from ((RUN_BY_TASKS, coroutine) for coroutine in a_few_of_each())


def frames() -> Iterator[tuple[int, FrameType]]:
    """Yield the functions that run in other threads, by the identity of the thread."""
    # A frame that refers to itself is a cycle, and keeps all that its callers held until the next
    # garbage collection: so this one is let go of at once.
    own = sys._getframe()  # noqa: SLF001 - the documented way
    running = sys._current_frames()  # noqa: SLF001 - as above
    others = [(thread, frame) for thread, frame in running.items() if frame is not own]
    del own, running
    for thread, innermost in others:
        frame: FrameType | None = innermost
        chain: list[FrameType] = []
        while frame is not None and len(chain) < _FEW:
            chain.append(frame)
            frame = frame.f_back
        yield from ((thread, each) for each in chain)


def local_values(frame: Any) -> list[object]:
    """Return the local variables of a running function, where Python shows them.

    From 3.11 on the garbage collector does not see them, and before 3.13 to ask for them keeps a
    copy in the frame: then there are none here.
    """
    if sys.version_info < (3, 11):
        return [each for each in gc.get_referents(frame) if type(each) is not FrameType]
    if sys.version_info < (3, 13) or not frame.f_code.co_flags & CO_OPTIMIZED:
        return []
    return list(frame.f_locals.values())


def children(each: object, entries: int | None) -> list[Any]:
    """Return what an object refers to; a few of the entries where there are very many.

    Args:
        each: The object.
        entries: Its length, or None for what is no container.
    """
    kind = type(each)
    namespace = namespace_of(each)
    if namespace is not None:
        return [namespace, *_values(namespace)]
    if derives_from(kind, type):
        own: MappingProxyType[str, object] = _namespace_of_class(each)
        return [*gc.get_referents(own)[:1], *_values(own)]
    if kind is FrameType:
        return local_values(each)
    if entries is not None and entries > LARGE:
        return newest(each, _FEW) + oldest(each, _FEW)
    return gc.get_referents(each)


def _values(namespace: dict[str, object] | MappingProxyType[str, object]) -> list[object]:
    try:
        return list(islice(namespace.values(), LARGE))
    except RuntimeError:
        return []


def _is_code(kind: type, table: LengthTable) -> bool:
    """Return whether instances are functions, modules or classes, which lead to whole libraries."""
    return kind is FunctionType or not table.is_plain(kind)


def _has_state(function: Any) -> bool:
    """Return whether a function refers to something of its own: a closure, a default, a note."""
    return any(
        (kind is tuple or kind is dict) and child is not function.__globals__
        for child in gc.get_referents(function)
        for kind in (type(child),)
    )


def frame_distance(frame: FrameType) -> int:
    """Return 0 for a function of the application, more for one of a library or of Python."""
    return _distance(text_at(frame.f_globals, "__name__") or "", frame.f_globals)


def tells_itself(each: object) -> bool:
    """Return whether a coroutine or generator is of the application and has a name in its code."""
    frame = frame_of(each)
    if frame is None or frame_distance(frame) > 1:
        return False
    return suspended_name(each) != FUNCTION


def _distance(name: str, namespace: dict[str, object] | None) -> int:
    """Return how far from the application's own modules this one is, the nearest 0.

    The program that was started comes after them: what it has imported is theirs.
    """
    if name in NAMES_OF_PROGRAM:
        return 1
    file = None if namespace is None else text_at(namespace, "__file__")
    if file is None or name.partition(".")[0] in sys.stdlib_module_names:
        return _FAR
    return 2 if "site-packages" in file or "dist-packages" in file else 0
