"""How long garbage collections take, and when a full one may come.

A full collection stops every thread, and whichever thread makes one object too many runs it. While
the investigation makes thousands at a time it lets the application go first where one is near: it
would have had to run it anyway.
"""

from __future__ import annotations

import gc
from _thread import get_ident
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.instrumentation.memory._sampling.clock import Clock

_FULL: Final = 2
_WAIT_SECONDS: Final = 0.1


class _Listener:
    """Is told of each collection while it is entered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # One object for both ends: each access to a bound method makes another.
        self._callback = self._note

    def __enter__(self) -> _Listener:  # noqa: PYI034 - Self needs 3.11
        # PyPy has no such list.
        getattr(gc, "callbacks", []).append(self._callback)
        _entered.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):
            _entered.remove(self)
        with suppress(ValueError):
            getattr(gc, "callbacks", []).remove(self._callback)

    def _note(self, phase: str, facts: dict[str, Any]) -> None:
        raise NotImplementedError


class CollectionsMeanwhile(_Listener):
    """Counts the time of the collections that the calling thread runs while it is entered.

    Whoever allocates next pays for a collection that the application's own growth has made due. It
    is no cost of the work that it interrupts.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._thread = 0
        self._began_at: float | None = None
        self.seconds = 0.0

    def __enter__(self) -> CollectionsMeanwhile:  # noqa: PYI034 - Self needs 3.11
        self._thread, self._began_at, self.seconds = get_ident(), None, 0.0
        super().__enter__()
        return self

    def _note(self, phase: str, facts: dict[str, Any]) -> None:  # noqa: ARG002 - any generation
        if get_ident() != self._thread:
            return
        if phase == "start":
            self._began_at = self._clock.thread_cpu()
        elif self._began_at is not None:
            self.seconds += self._clock.thread_cpu() - self._began_at
            self._began_at = None


class FullCollections(_Listener):
    """Tells how long the latest full collection took, whichever thread has run it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._began_at = 0.0
        self.seconds = 0.0

    def _note(self, phase: str, facts: dict[str, Any]) -> None:
        if facts.get("generation") != _FULL:
            return
        # No two run at a time, and start and stop come from one thread.
        if phase == "start":
            self._began_at = self._clock.thread_cpu()
        else:
            self.seconds = self._clock.thread_cpu() - self._began_at


def objects_until_full() -> float:
    """Return how many objects can be made at least before a full collection may come.

    The youngest generation is collected when its threshold has been passed. If as many collections
    of it have gone by as the middle one's threshold says, the next one is of the middle generation,
    too; and if enough of those have gone by, the first one after them may be full. (It is where
    what has come into the oldest generation since the last is more than a quarter of it: that
    cannot be seen.) Infinity where nothing is collected.
    """
    made, young, middle = gc.get_count()
    most_made, most_young, most_middle = gc.get_threshold()
    if not gc.isenabled() or not most_made:
        return inf
    collections = 1
    if middle <= most_middle or young:
        collections += max(most_young + 1 - young, 0) + 1
        collections += max(most_middle - middle, 0) * (most_young + 2)
    return max(most_made - made, 0) + (collections - 1) * (most_made + 1)


def until_room_for(objects: int, most_seconds: float) -> Generator[float, None, float]:
    """Wait until so many objects can be made before a full collection may come.

    Not for longer than `most_seconds`: where hardly anybody allocates, it is not going to come.

    Returns:
        The seconds that were left.
    """
    left_seconds = most_seconds
    while left_seconds > 0 and objects_until_full() < objects:
        yield _WAIT_SECONDS
        left_seconds -= _WAIT_SECONDS
    return left_seconds


_entered: Final[list[_Listener]] = []


def end_in_child() -> None:
    """Leave what a forked child has inherited: whoever had entered does not run there."""
    for each in tuple(_entered):
        each.__exit__()
