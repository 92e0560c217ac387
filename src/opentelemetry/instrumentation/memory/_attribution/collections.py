"""How long garbage collections take: those that fall into somebody's work, and full ones."""

from __future__ import annotations

import gc
from _thread import get_ident
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._sampling.clock import Clock

_FULL: Final = 2


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


_entered: Final[list[_Listener]] = []


def end_in_child() -> None:
    """Leave what a forked child has inherited: whoever had entered does not run there."""
    for each in tuple(_entered):
        each.__exit__()
