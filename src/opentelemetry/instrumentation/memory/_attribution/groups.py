"""Things that become more without a container to hold them: classes, tasks, uncollected cycles."""

from __future__ import annotations

import gc
from functools import partial
from itertools import compress, islice
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.class_names import type_name
from opentelemetry.instrumentation.memory._attribution.cycles import (
    garbage_among,
    why_nothing_is_collected,
)
from opentelemetry.instrumentation.memory._attribution.growth import LEAST_GROWTH
from opentelemetry.instrumentation.memory._attribution.holding import made
from opentelemetry.instrumentation.memory._attribution.looking import shallow_bytes
from opentelemetry.instrumentation.memory._attribution.naming import bounded
from opentelemetry.instrumentation.memory._attribution.sizes import bytes_per_entry, element_types
from opentelemetry.instrumentation.memory.evidence import ContainerGrowth

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.instrumentation.memory._attribution.census import Census

_TASKS: Final = frozenset({"_asyncio.Task", "asyncio.tasks.Task"})
_SAMPLE: Final = 50
_MOST_BASES: Final = 3
_MOST_TYPES: Final = 12
_SAMPLE_OF_TYPE: Final = 8
_NEWEST_OBJECTS: Final = 50_000

_mro_of: Final[Any] = type.__dict__["__mro__"].__get__


def subclass_growth(first: Census, second: Census) -> list[ContainerGrowth]:
    """Return the classes that have more direct subclasses than they had."""
    more = {
        identity: count - first.subclasses[identity]
        for identity, count in second.subclasses.items()
        if count - first.subclasses[identity] >= LEAST_GROWTH and identity in second.types
    }
    told = []
    for identity in sorted(more, key=lambda each: -more[each])[:_MOST_BASES]:
        base = second.types[identity]
        newest: list[type] = type.__subclasses__(base)[-_SAMPLE:]
        told.append(
            ContainerGrowth(
                path=bounded(f"{type_name(base)}.__subclasses__()"),
                container_type="classes",
                entries_before=first.subclasses[identity],
                entries_after=second.subclasses[identity],
                element_types=element_types(newest, type_name),
                bytes_grown=round(more[identity] * bytes_per_entry(newest)),
                held_by="classes made at run time",
            )
        )
    return told


def task_growth(first: Census, second: Census) -> Generator[float, None, list[ContainerGrowth]]:
    """Return the asyncio tasks that became more, with what they run."""
    for identity, cls in second.types.items():
        before, after = first.counts[identity], second.counts[identity]
        if after - before < LEAST_GROWTH or type_name(cls) not in _TASKS:
            continue
        tasks = yield from _some_of(identity, _SAMPLE)
        # The coroutine is what tells tasks apart.
        running = [_coroutine_of(task) for task in tasks]
        told = ContainerGrowth(
            path="asyncio.all_tasks()",
            container_type="asyncio tasks",
            entries_before=before,
            entries_after=after,
            element_types=element_types([each for each in running if each is not None]),
            bytes_grown=round((after - before) * bytes_per_entry(tasks)),
        )
        del tasks, running
        return [told]
    return []


def garbage_growth(first: Census, second: Census) -> Generator[float, None, list[ContainerGrowth]]:
    """Return the objects that only a garbage collector that is off could free."""
    why = why_nothing_is_collected()
    if why is None:
        return []
    more = second.counts - first.counts
    before = after = size = 0
    names: list[tuple[str, int]] = []
    for identity, grown in more.most_common(_MOST_TYPES):
        if grown < LEAST_GROWTH or identity not in second.types:
            continue
        samples = yield from _some_of(identity, _SAMPLE_OF_TYPE)
        if samples and 2 * garbage_among(samples) > len(samples):
            before += first.counts[identity]
            after += second.counts[identity]
            size += grown * sum(map(shallow_bytes, samples)) // len(samples)
            names.append((type_name(second.types[identity]), grown))
        del samples
        yield 0.0
    if not names:
        return []
    held_by = f"reference cycles; {why}"
    return [ContainerGrowth(None, "reference cycles", before, after, tuple(names), size, held_by)]


def _coroutine_of(task: object) -> object:
    return next((each for each in gc.get_referents(task) if type(each) is CoroutineType), None)


def _some_of(identity: int, most: int) -> Generator[float, None, list[Any]]:
    """Return some of the newest objects of a class; among the newest 50 000 of each generation."""
    for generation in (0, 1, 2):
        with made(partial(gc.get_objects, generation)) as objects:
            # By identity: a metaclass may answer to `==`.
            is_wanted = map(identity.__eq__, map(id, map(type, reversed(objects))))
            wanted = compress(islice(reversed(objects), _NEWEST_OBJECTS), is_wanted)
            found = list(islice(wanted, most))
            objects.clear()
        del objects, is_wanted, wanted
        if found:
            return found
        yield 0.0
    return []
