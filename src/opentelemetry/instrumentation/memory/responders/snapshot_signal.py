"""SIGUSR2 asks for a snapshot."""

from __future__ import annotations

import contextlib
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory.responders.main_thread import call_in_main_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from opentelemetry.instrumentation.memory.responders.snapshot_document import SnapshotReason

_logger = logging.getLogger(__name__)

_STATUS: Final = Path("/proc/self/status")
_CAUGHT: Final = b"SigCgt:"

NUMBER: Final[int | None] = getattr(signal, "SIGUSR2", None)


class SnapshotSignal:
    """Hands SIGUSR2 on as a request, and then to the handler that was there before.

    A forked child inherits the handler, so a request is about the process that calls back.

    Args:
        request: Called by Python in the main thread, between two instructions of the application:
            it must not wait, take a lock, write or log.
    """

    def __init__(self, request: Callable[[SnapshotReason], None]) -> None:
        self._request: Callable[[SnapshotReason], None] | None = request
        self._previous: Any = None
        self._has_been_installed = False
        self._is_asked = False
        # One object for all comparisons: each access to a bound method makes another.
        self._handler = self._on_signal

    def install(self) -> bool:
        """Install the handler, and return whether it is in place; harmless when called again.

        Only the main thread can. A handler that is not Python's is left alone, and so is one that
        has taken the place of ours: it may call ours, and two that call each other never end.
        """
        if NUMBER is None:
            return self._refuse("this platform has no such signal")
        if self._request is None or self.is_in_place():
            return self._request is not None
        previous = signal.getsignal(NUMBER)
        if _has_foreign_handler(NUMBER):
            return self._refuse("it has a handler that Python does not know")
        if self._has_been_installed and callable(previous):
            return False
        try:
            signal.signal(NUMBER, self._handler)
        except ValueError:
            return self._refuse("handlers can be installed in the main thread only")
        self._previous = previous
        self._has_been_installed = True
        return True

    def is_in_place(self) -> bool:
        """Tell whether the signal comes here first; a server may have taken it since."""
        return NUMBER is not None and signal.getsignal(NUMBER) is self._handler

    def keep_in_place(self) -> None:
        """Install the handler again where a server has reset the signal, as gunicorn's workers do.

        For any thread, and for each sample: costs under 1 µs while there is nothing to do. Left
        alone, the signal would end the process.
        """
        if (
            self._has_been_installed
            and self._request is not None
            and not self._is_asked
            and self._is_reset()
        ):
            self._is_asked = call_in_main_thread(self._install_again)

    def _install_again(self) -> None:
        self._is_asked = False
        if self._is_reset():
            self.install()

    def _is_reset(self) -> bool:
        """Tell whether nobody handles the signal."""
        return (
            NUMBER is not None
            and signal.getsignal(NUMBER) is signal.SIG_DFL
            and not _has_foreign_handler(NUMBER)
        )

    def uninstall(self) -> None:
        """Ask for nothing more, and restore the previous handler if ours is still in place."""
        self._request = None
        # ValueError: not the main thread. Ours stays then, and only hands on.
        with contextlib.suppress(ValueError):
            if NUMBER is not None and self.is_in_place():
                signal.signal(NUMBER, self._previous)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        request = self._request
        if request is not None:
            # In silence: logging takes locks, and what is raised here is raised in the application.
            with contextlib.suppress(Exception):
                request("signal")
        if callable(self._previous):
            self._previous(number, frame)

    def _refuse(self, why: str) -> bool:
        _logger.warning("SIGUSR2 writes no memory snapshot: %s", why)
        return False


def _has_foreign_handler(number: int) -> bool:
    """Tell whether something else than Python handles the signal, such as faulthandler."""
    known = signal.getsignal(number)
    if known is None or callable(known):
        return known is None
    # Python remembers only what it has installed itself; the kernel knows who catches.
    try:
        lines = _STATUS.read_bytes().splitlines()
    except OSError:
        return False
    caught = next((line for line in lines if line.startswith(_CAUGHT)), b"SigCgt: 0")
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
