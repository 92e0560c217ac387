"""What holds an object that the search from modules did not come by: the way up, step by step."""

from __future__ import annotations

import gc
import os
import sys
from array import array
from collections import Counter
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from itertools import compress, islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.class_names import type_name
from opentelemetry.instrumentation.memory._attribution.holding import holding, move_last
from opentelemetry.instrumentation.memory._attribution.looking import is_from_c, length, text_at
from opentelemetry.instrumentation.memory._attribution.naming import (
    DYNAMIC_FILE,
    file_name,
    function_name,
)
from opentelemetry.instrumentation.memory._attribution.suspended import code_of, is_suspended
from opentelemetry.instrumentation.memory._attribution.walk import (
    OWN_MODULES,
    frame_distance,
    frames,
    tells_itself,
)
from opentelemetry.instrumentation.memory.evidence import UNKNOWN_HOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator
    from types import CodeType

    from opentelemetry.instrumentation.memory._attribution.listing import ObjectLists

LIST_SHARE: Final = 0.5
"""Where the list takes more of the longest pause, `gc.get_referrers` takes too long: it asks each.
"""

_MOST_CALLS: Final = 16
_LONGEST_CHAIN: Final = 9
_CHUNK: Final = 50_000
_MOST_REFERRERS: Final = 20_000
_FEW_OF_EACH: Final = 2  # of each type, of those that hold one object
_MOST_HOLDERS: Final = 4
_MOST_FUNCTIONS: Final = 3
_WAITS: Final = CO_COROUTINE | CO_GENERATOR | CO_ASYNC_GENERATOR
_OWN_FOLDER: Final = f"{Path(__file__).parents[1]}{os.sep}"


def find_objects(
    identities: Collection[int], lists: ObjectLists, found: list[Any]
) -> Generator[float, None, None]:
    """Add those objects among all that have one of these identities to what was found."""
    chunk: list[Any] = []
    with holding(chunk), lists.take() as objects:
        yield 0.0
        while objects:
            move_last(objects, chunk, _CHUNK)
            found += compress(chunk, map(identities.__contains__, map(id, chunk)))
            chunk.clear()
            yield 0.0


def climb(each: object, known: Callable[[int], bool]) -> Generator[float, None, list[Any]]:
    """Return the chain of holders from an object upwards, the object last.

    It begins with one of the known objects or a function of the application that waits, where it
    gets there; else with an object that nothing in Python's reach refers to. One call of
    `gc.get_referrers` a step, at most sixteen; what most likely leads on is asked about first.

    Args:
        each: The object.
        known: Tells the identities of the objects whose place is known.
    """
    met: list[Any] = [each]
    # Which of those that were met each of them holds, and which are still to be asked about.
    below, waiting = array("l", [-1]), array("l", [0])
    del each
    end = top = 0
    asked_again = False
    with holding(met):
        for _ in range(_MOST_CALLS):
            if not waiting:
                # The local variables of a coroutine are out of sight while it runs.
                if asked_again:
                    break
                asked_again = True
                waiting.append(0)
            place = waiting.pop()
            first = len(met)
            if _meet_holders(met, place, known):
                below.append(place)
                end = first
                break
            if len(met) == first and not top:
                top = place
            below.extend([place] * (len(met) - first))
            if len(_way(below, place)) < _LONGEST_CHAIN:
                waiting.extend(range(len(met) - 1, first - 1, -1))
            yield 0.0
        return [met[place] for place in _way(below, end or top)]


def _way(below: array[int], place: int) -> list[int]:
    way = [place]
    while (place := below[place]) >= 0:
        way.append(place)
    return way


def _meet_holders(met: list[Any], place: int, known: Callable[[int], bool]) -> bool:
    """Add what holds one of those that were met, the likeliest first.

    Returns:
        Whether the climb ends with the first of them: no other is added then.
    """
    seen = {id(met), *map(id, met)}
    of_each: Counter[int] = Counter()
    holders: list[Any] = []
    ends: list[Any] = []
    for holder in islice(gc.get_referrers(met[place]), _MOST_REFERRERS):
        if id(holder) in seen:
            continue
        if known(id(holder)):
            ends.append(holder)
            if len(ends) >= _MOST_HOLDERS:
                break
        of_each[id(type(holder))] += 1
        # Ten thousand entries may refer to what holds the container that they are in.
        if of_each[id(type(holder))] <= _FEW_OF_EACH and not _is_passing(holder):
            holders.append(holder)
    ends = ends or [each for each in holders if is_suspended(each) and tells_itself(each)]
    if ends:
        met.append(min(ends, key=_rank))
        return True
    holders.sort(key=_rank)
    met += holders[:_MOST_HOLDERS]
    return False


def _is_passing(holder: Any) -> bool:
    """Return whether a holder is a look at something, or a function of this package."""
    kind = type(holder)
    if kind is FrameType:
        # From 3.11 on what waits refers to its local variables itself.
        is_waiting = sys.version_info < (3, 11) and holder.f_code.co_flags & _WAITS
        return not is_waiting or _is_own(holder.f_code)
    if is_suspended(holder):
        return _is_own(code_of(holder))
    name = type_name(kind)
    return name.endswith(("_iterator", "iterator")) or name in ("enumerate", "zip")


def _is_own(code: CodeType) -> bool:
    return code.co_filename.startswith(_OWN_FOLDER)


def _rank(holder: object) -> tuple[bool, int]:
    """Order what holds an object: what has names, then the smallest."""
    entries = length(holder)
    return entries is not None and type(holder) is not dict, entries or 0


def holder_outside(top: object, is_whole_chain: bool) -> str:  # noqa: FBT001 - a fact about top
    """Return what may hold the top of a chain that has come to no module, in words."""
    kind = type(top)
    is_hidden = not is_whole_chain and is_from_c(kind) and length(top) is None
    # What belongs to Python itself, such as a built-in function, tells nobody anything.
    if is_hidden and kind.__module__.partition(".")[0] not in sys.stdlib_module_names:
        return f"{UNKNOWN_HOLDER} by {type_name(kind)}"
    functions = ", ".join(_running_functions())
    by_function = f"a local variable of a running function ({functions}), or " if functions else ""
    return f"{by_function}{UNKNOWN_HOLDER}"


def _running_functions() -> list[str]:
    """Return the innermost functions of the application that are running in other threads."""
    names: dict[str, None] = {}
    for _, frame in frames():
        file = file_name(frame.f_code.co_filename)
        module = text_at(frame.f_globals, "__name__")
        if (module or "").startswith(OWN_MODULES):
            continue
        if file != DYNAMIC_FILE and frame_distance(frame) == 0:
            names[function_name(frame.f_code, module)] = None
    return list(names)[:_MOST_FUNCTIONS]
