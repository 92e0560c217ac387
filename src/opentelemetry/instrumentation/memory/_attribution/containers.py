"""Which container holds what leaks: two looks at the heap, and the way to what grew between."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.code_names import CodeNames
from opentelemetry.instrumentation.memory._attribution.groups import (
    garbage_growth,
    subclass_growth,
    task_growth,
)
from opentelemetry.instrumentation.memory._attribution.growth import (
    Grown,
    Look,
    grown_containers,
    grown_types,
    is_own,
    look,
)
from opentelemetry.instrumentation.memory._attribution.holding import holding
from opentelemetry.instrumentation.memory._attribution.listing import (
    LONGEST_PAUSE_SECONDS,
    ObjectLists,
)
from opentelemetry.instrumentation.memory._attribution.looking import length
from opentelemetry.instrumentation.memory._attribution.naming import bounded
from opentelemetry.instrumentation.memory._attribution.paths import Place, describe, resolve
from opentelemetry.instrumentation.memory._attribution.referrers import (
    LIST_SHARE,
    climb,
    find_objects,
    holder_outside,
)
from opentelemetry.instrumentation.memory._attribution.sizes import (
    bytes_per_entry,
    element_types,
    table_bytes_per_entry,
)
from opentelemetry.instrumentation.memory.evidence import (
    ContainerGrowth,
    Findings,
    Skipped,
    TypeGrowth,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.instrumentation.memory._attribution.inquiry import Case
    from opentelemetry.instrumentation.memory._attribution.walk import Walk
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory.evidence import EvidenceKind

_WANTED_BYTES: Final = 512 * 1024
_LEAST_SECONDS: Final = 5.0
_MOST_SECONDS: Final = 600.0
_NOT_COUNTED: Final = "types were not counted, and only containers near modules were looked for"
_TURN_SECONDS: Final = 0.001
_MOST_TOLD: Final = 8
_MOST_CLIMBS: Final = 4


class ContainerInquiry:
    """Compares two looks at the heap, as far apart as 512 KiB of growth take.

    Each look counts every object that the garbage collector knows, and searches from the modules
    for containers that it does not know. It costs about 0.3 s of CPU for each million objects, in
    steps of some milliseconds; only the list of all objects comes in one piece, and is left out
    where that would take too long. What the application frees meanwhile dies a little later, and
    its finalizers may run in this thread.

    Args:
        clock: What the steps are measured by.
        least_seconds: The shortest time between the two looks.
        most_seconds: The longest.
        longest_pause_seconds: For how long the list of all objects may stop the process.
    """

    kind: EvidenceKind = "containers"
    interim: Findings | None = None

    def __init__(
        self,
        clock: Clock,
        least_seconds: float = _LEAST_SECONDS,
        most_seconds: float = _MOST_SECONDS,
        longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        self._clock = clock
        self._lists = ObjectLists(clock, longest_pause_seconds)
        self._least_seconds = least_seconds
        self._most_seconds = most_seconds
        self.is_holding = False

    def gather(self, case: Case) -> Generator[float, None, Findings]:
        """Look twice, and tell what grew."""
        try:
            classes: dict[int, type] = {}
            with self._lists, holding(classes):
                return (yield from self._compare(case, classes))
        finally:
            self.is_holding = False

    def _compare(self, case: Case, classes: dict[int, type]) -> Generator[float, None, Findings]:
        if sys.implementation.name != "cpython":
            other = f"{sys.implementation.name} does not list its objects"
            return Findings(skipped=(Skipped(self.kind, other),))
        yield from self._lists.learn()
        why = self._lists.why_not()
        self.is_holding = True
        first = yield from look(self._clock, None if why else self._lists, classes)
        first.keep_lengths()
        self.is_holding = False
        yield case.seconds_to_grow(_WANTED_BYTES, self._least_seconds, self._most_seconds)
        self.is_holding = True
        why = why or self._lists.why_not()
        second = yield from look(self._clock, None if why else self._lists, classes)
        types: tuple[TypeGrowth, ...] = ()
        containers: list[ContainerGrowth] = []
        if first.census and second.census:
            types = grown_types(first.census, second.census)
            containers += subclass_growth(first.census, second.census)
            yield 0.0
            containers += yield from task_growth(first.census, second.census)
            yield 0.0
            containers += yield from garbage_growth(first.census, second.census)
            second.census.forget()
        grown = yield from grown_containers(first, second)
        memory_bytes = _memory_bytes(first, second)
        # From here on there may be rests of half a minute: with as much in hand the process's
        # figures could not be judged for so long, nor routes be told apart by them.
        yield from second.keep_ways()
        self.is_holding = False
        yield _TURN_SECONDS
        told, why_lost = yield from self._tell(grown, second)
        containers += told
        # One thing can be met twice: a queue, and the list within.
        best = {
            (each.path or each.held_by, each.container_type): each
            for each in sorted(containers, key=lambda each: each.bytes_grown)
        }
        containers = sorted(best.values(), key=lambda each: -each.bytes_grown)
        containers = [
            each for each in containers if not any(is_own(name) for name, _ in each.element_types)
        ]
        return Findings(
            types=types,
            containers=tuple(containers[:_MOST_TOLD]),
            skipped=tuple(
                Skipped(self.kind, text)
                for text in (why and f"{why}: {_NOT_COUNTED}", why_lost)
                if text
            ),
            seconds=second.taken_at_seconds - first.taken_at_seconds,
            memory_bytes=memory_bytes,
        )

    def _tell(
        self, grown: list[Grown], second: Look
    ) -> Generator[float, None, tuple[list[ContainerGrowth], str | None]]:
        """Return what each container is called, what is in it and what it holds.

        And why what holds some of them was not looked for, if so.
        """
        names = CodeNames()
        told: list[ContainerGrowth] = []
        lost: dict[int, Grown] = {}
        for each in grown:
            growth = _tell_known(each, second.walk, names)
            if growth is not None:
                told.append(growth)
            elif each.before:
                lost[each.identity] = each
            yield 0.0
        if not (lost and second.census):
            return told, None
        why = self._lists.why_not(LIST_SHARE)
        if why is not None:
            return told, f"{why}: what holds {len(lost)} more that grew was not looked for"
        yield _TURN_SECONDS
        told += yield from _tell_lost(lost, second.walk, names, self._lists)
        return told, None


def _tell_known(each: Grown, walk: Walk, names: CodeNames) -> ContainerGrowth | None:
    way = walk.chain_to(each.identity)
    objects = None if way is None else resolve(*way)
    if way is None or objects is None:
        return None
    return _growth(each, objects[-1], describe(way[0], objects, names))


def _tell_lost(
    lost: dict[int, Grown], walk: Walk, names: CodeNames, lists: ObjectLists
) -> Generator[float, None, list[ContainerGrowth]]:
    told: list[ContainerGrowth] = []
    found: list[Any] = []
    leads_to = _Ways(walk)
    with holding(found):
        yield from find_objects(lost.keys(), lists, found)
        # What holds most is asked about first; the others are let go of.
        found[:] = (each for each in found if (length(each) or 0) >= lost[id(each)].after // 2)
        found.sort(key=lambda each: _bytes_grown(lost[id(each)], each))
        del found[:-_MOST_CLIMBS]
        while found:
            target = found.pop()
            chain = yield from climb(target, leads_to)
            place = _place_of(chain, walk, names)
            told.append(_growth(lost[id(target)], target, place))
            del target, chain
            yield 0.0
    return told


class _Ways:
    """Tells whether there is still a way to an object that a search has come by.

    A function that ran then may have returned, and what it led to has no place any more.
    """

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._is_there: dict[int, bool] = {}

    def __call__(self, identity: int) -> bool:
        way = self._walk.chain_to(identity)
        if way is None or isinstance(way[0], str):
            return way is not None
        root, identities = way
        if identities[0] not in self._is_there:
            self._is_there[identities[0]] = resolve(root, identities[:1]) is not None
        return self._is_there[identities[0]]


def _place_of(chain: list[Any], walk: Walk, names: CodeNames) -> Place:
    way = walk.chain_to(id(chain[0]))
    above = None if way is None else resolve(*way)
    if way is not None and above is not None:
        return describe(way[0], above + chain[1:], names)
    place = describe(None, chain, names)
    if place.held_by is not None:
        return place
    held_by = holder_outside(chain[0], is_whole_chain=len(chain) == 1)
    return Place(None, place.container_type, bounded(held_by))


def _growth(each: Grown, container: object, place: Place) -> ContainerGrowth:
    return ContainerGrowth(
        path=place.path,
        container_type=place.container_type,
        entries_before=each.before,
        entries_after=each.after,
        element_types=element_types(container),
        bytes_grown=_bytes_grown(each, container),
        held_by=place.held_by,
    )


def _bytes_grown(each: Grown, container: object) -> int:
    per_entry = bytes_per_entry(container) + table_bytes_per_entry(container)
    return round((each.after - each.before) * per_entry)


def _memory_bytes(*looks: Look) -> int:
    return sum(
        each.walk.memory_bytes + (each.census.memory_bytes if each.census else 0) for each in looks
    )
