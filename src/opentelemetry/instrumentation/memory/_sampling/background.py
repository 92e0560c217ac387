"""Threads that are of the kind that there was when this package was loaded.

A server of greenlets may patch threads after that: gunicorn does, in each worker. The sampling
thread is a real one by then, and what a real thread starts in a patched process is a greenlet of
that very thread, which never gets its turn while the thread waits in its own way. So this module is
loaded with the package, and keeps what was there.
"""

from __future__ import annotations

import _thread
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_start_new_thread = _thread.start_new_thread
_get_ident = _thread.get_ident
allocate_lock = _thread.allocate_lock
"""Makes a lock that such a thread can wait for."""


def native_id() -> int:
    """Return the operating system's number of the calling thread; greenlets share it."""
    return threading.get_native_id()


class Background(Protocol):
    """What is used of a thread."""

    def start(self) -> None:
        """Begin.

        Raises:
            RuntimeError: No thread can be started.
        """
        ...

    def is_alive(self) -> bool:
        """Tell whether it runs."""
        ...

    def join(self, timeout: float) -> None:
        """Wait until it has ended, for so many seconds at most; not at all within it."""
        ...


def background(target: Callable[[], None], name: str) -> Background:
    """Return a thread that does not keep the process from ending, to be started."""
    if _thread.start_new_thread is _start_new_thread:
        return _Thread(target=target, name=name, daemon=True)
    return _UnpatchedThread(target)


class _Thread(threading.Thread):
    def join(self, timeout: float | None = None) -> None:
        if self is not threading.current_thread():
            super().join(timeout)


class _UnpatchedThread:
    """A real thread in a process whose `threading` knows greenlets only; it has no name there."""

    def __init__(self, target: Callable[[], None]) -> None:
        self._target = target
        self._running = allocate_lock()
        self._ident: int | None = None

    def start(self) -> None:
        self._running.acquire()
        try:
            _start_new_thread(self._run, ())
        except RuntimeError:
            self._running.release()
            raise

    def is_alive(self) -> bool:
        return self._running.locked()

    def join(self, timeout: float) -> None:
        if self._ident != _get_ident() and self._running.acquire(timeout=timeout):
            self._running.release()

    def _run(self) -> None:
        self._ident = _get_ident()
        try:
            self._target()
        finally:
            self._ident = None
            self._running.release()
