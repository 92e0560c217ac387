"""Which lists hold objects of the application just now, for a forked child to let go of them.

The thread that looks does not run in the child, and never comes to the end of what it was doing
there: a list of all objects would keep each of them alive for the life of the child.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_held: Final[list[list[Any]]] = []


@contextmanager
def holding(*lists: list[Any]) -> Iterator[None]:
    """Have these lists emptied where a process is forked from this one meanwhile."""
    _held.extend(lists)
    try:
        yield
    finally:
        # By identity: to compare lists would ask the objects within.
        ended = set(map(id, lists))
        _held[:] = [each for each in _held if id(each) not in ended]


def is_holding() -> bool:
    """Return whether there are such lists."""
    return bool(_held)


def end_in_child() -> None:
    """Empty them; to be called in the child after a fork."""
    while _held:
        _held.pop().clear()
