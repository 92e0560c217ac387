"""Coroutines and generators that wait: the garbage collector sees their local variables.

Those of a function that runs it does not see from Python 3.11 on, and most of what a service of
coroutines keeps hangs on the variables of one that waits: `asyncio.run(main())`.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from itertools import islice
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import TYPE_CHECKING, Any, Final
from weakref import ReferenceType, WeakSet

from opentelemetry.instrumentation.memory._attribution.naming import function_name, namespace_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

RUN_BY_TASKS: Final = 0
"""A root of the search beside the names of modules and the identities of threads: no thread's."""

_KINDS: Final[dict[int, tuple[str, str, str]]] = {
    id(CoroutineType): ("coroutine", "cr_code", "cr_frame"),
    id(GeneratorType): ("generator", "gi_code", "gi_frame"),
    id(AsyncGeneratorType): ("async generator", "ag_code", "ag_frame"),
}
# What asyncio knows its tasks by: up to 3.11, from 3.12 on, and those that were begun at once.
_REGISTRIES: Final = ("_all_tasks", "_scheduled_tasks", "_eager_tasks")
_MOST_TASKS: Final = 2000
_FEW_OF_EACH: Final = 4


def is_suspended(each: object) -> bool:
    """Return whether this is a coroutine, a generator or an async generator."""
    return id(type(each)) in _KINDS


def code_of(each: object) -> CodeType:
    """Return the code of one of these."""
    code: CodeType = getattr(each, _KINDS[id(type(each))][1])
    return code


def frame_of(each: object) -> FrameType | None:
    """Return the frame of one of these; None when it has ended."""
    frame: FrameType | None = getattr(each, _KINDS[id(type(each))][2])
    return frame


def suspended_name(each: object) -> str:
    """Return the full name of the function that one of these runs."""
    frame = frame_of(each)
    module = None if frame is None else dict.get(frame.f_globals, "__name__")
    return function_name(code_of(each), module if type(module) is str else None)


def suspended_word(each: object) -> str:
    """Return what one of these is called."""
    return _KINDS[id(type(each))][0]


def task_coroutines() -> Iterator[Any]:
    """Yield the coroutines that asyncio's tasks run, of the first 2,000 tasks that it knows.

    Takes about a microsecond a task. Tasks of other frameworks are found by what refers to what
    they hold, see `_attribution/referrers.py`.
    """
    namespace = namespace_of(sys.modules.get("asyncio.tasks")) or {}
    for name in _REGISTRIES:
        known: Any = namespace.get(name)
        if type(known) is WeakSet:
            known = vars(known)["data"]
        if type(known) is not set:
            continue
        # Copied by one call in C, since the set changes while another thread runs.
        for each in islice(tuple(known), _MOST_TASKS):
            task = ReferenceType.__call__(each) if type(each) is ReferenceType else each
            # The first: a subclass may have others among its attributes.
            coroutines = (part for part in gc.get_referents(task) if type(part) is CoroutineType)
            yield from islice(coroutines, 1)


def a_few_of_each() -> list[Any]:
    """Return some of the coroutines that tasks run: a few of each function."""
    told: Counter[int] = Counter()
    few: list[Any] = []
    for each in task_coroutines():
        code = id(code_of(each))
        told[code] += 1
        if told[code] <= _FEW_OF_EACH:
            few.append(each)
    return few
