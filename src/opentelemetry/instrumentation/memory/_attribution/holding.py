"""What holds objects of the application just now, for a forked child to let go of them.

The thread that looks does not run in the child, and never comes to the end of what it was doing
there: a list of all objects would keep each of them alive for the life of the child.

Another thread may fork between any two steps of Python code. So a list of many objects is held from
the call on that makes it, and objects go from one list to another in one call: calls of what is
written in C keep the interpreter to themselves.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import filterfalse, repeat, starmap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_held: Final[list[list[Any] | dict[int, Any]]] = []


@contextmanager
def holding(*collections: list[Any] | dict[int, Any]) -> Iterator[None]:
    """Have these emptied where a process is forked from this one meanwhile."""
    _held.extend(collections)
    try:
        yield
    finally:
        _end(*collections)


@contextmanager
def made(make: Callable[[], list[Any]]) -> Iterator[list[Any]]:
    """Have what a function written in C makes emptied likewise, from the moment it is there."""
    # `append` answers None, so what is made is noted, and comes out, in one call.
    objects: list[Any] = next(filterfalse(_held.append, starmap(make, [()])))
    try:
        yield objects
    finally:
        _end(objects)


def move_last(objects: list[Any], into: list[Any], most: int) -> None:
    """Move some from the end of a list to another, each of them in one or the other throughout."""
    into.extend(starmap(objects.pop, repeat((), min(most, len(objects)))))


def is_holding() -> bool:
    """Return whether there is anything."""
    return bool(_held)


def end_in_child() -> None:
    """Empty them; to be called in the child after a fork."""
    while _held:
        _held.pop().clear()


def _end(*collections: list[Any] | dict[int, Any]) -> None:
    # By identity: to compare lists would ask the objects within.
    ended = set(map(id, collections))
    _held[:] = [each for each in _held if id(each) not in ended]
