"""What holds an object that the search from modules did not come by: the way up, step by step."""

from __future__ import annotations

import gc
from itertools import compress
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.holding import holding, move_last
from opentelemetry.instrumentation.memory._attribution.looking import is_from_c, length, text_at
from opentelemetry.instrumentation.memory._attribution.naming import (
    DYNAMIC_FILE,
    file_name,
    function_name,
    type_name,
)
from opentelemetry.instrumentation.memory._attribution.walk import (
    OWN_MODULES,
    frame_distance,
    frames,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from opentelemetry.instrumentation.memory._attribution.listing import ObjectLists

LONGEST_LIST_SECONDS: Final = 0.02
"""Where the list of all objects takes longer, `gc.get_referrers` takes too long: it asks each."""

_MOST_CALLS: Final = 8
_CHUNK: Final = 50_000
_MOST_REFERRERS: Final = 1000
_MOST_FUNCTIONS: Final = 3


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

    It begins with one of the known objects where it gets there, else with an object that nothing in
    Python's reach refers to. One call of `gc.get_referrers` a step, at most eight.

    Args:
        each: The object.
        known: Tells the identities of the objects whose place is known.
    """
    chain = [each]
    del each
    for _ in range(_MOST_CALLS):
        holder = _nearest_holder(chain, known)
        if holder is None:
            break
        chain.insert(0, holder)
        del holder
        if known(id(chain[0])):
            break
        yield 0.0
    return chain


def _nearest_holder(chain: list[Any], known: Callable[[int], bool]) -> Any:
    met = {id(chain), *map(id, chain)}
    referrers = gc.get_referrers(chain[0])[:_MOST_REFERRERS]
    holders = [holder for holder in referrers if id(holder) not in met and not _is_passing(holder)]
    del referrers
    return min(holders, key=lambda holder: _rank(holder, known), default=None)


def _is_passing(holder: object) -> bool:
    """Return whether a holder is a look at something, or a function of this package."""
    kind = type(holder)
    if kind is FrameType:
        return True
    name = type_name(kind)
    return name.endswith(("_iterator", "iterator")) or name in ("generator", "enumerate", "zip")


def _rank(holder: object, known: Callable[[int], bool]) -> tuple[bool, bool, int]:
    """Order what holds an object: a known place, then what has names, then the smallest."""
    entries = length(holder)
    return not known(id(holder)), entries is not None and type(holder) is not dict, entries or 0


def holder_outside(top: object, is_whole_chain: bool) -> str:  # noqa: FBT001 - a fact about top
    """Return what may hold the top of a chain that has come to no module, in words."""
    name = type_name(type(top))
    if not is_whole_chain and is_from_c(type(top)) and length(top) is None:
        return f"held outside Python by {name}"
    functions = ", ".join(_running_functions())
    by_function = f"a local variable of a running function ({functions}), or " if functions else ""
    return f"{by_function}held outside Python"


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
