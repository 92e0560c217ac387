"""Has the main thread do what only the main thread may do."""

from __future__ import annotations

import ctypes
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_waiting: Final[deque[Callable[[], object]]] = deque()
# Made with the first call and kept: C must never call what has been collected.
_kept: Final[list[Any]] = []


def call_in_main_thread(do: Callable[[], object]) -> bool:
    """Have the main thread call something between two of its instructions, as it does for signals.

    Returns at once, and whether it could be asked; a main thread that waits inside C calls when it
    is back. What is raised there is dropped.
    """
    _waiting.append(do)
    try:
        if not _kept:
            _kept.append(ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_call))
        # https://docs.python.org/3/c-api/init.html#c.Py_AddPendingCall
        is_asked = bool(ctypes.pythonapi.Py_AddPendingCall(_kept[0], None) == 0)
    except (AttributeError, OSError, ValueError):
        is_asked = False
    if not is_asked:
        with suppress(ValueError):
            _waiting.remove(do)
    return is_asked


def _call(_: object) -> int:
    with suppress(Exception):
        _waiting.popleft()()
    return 0
