"""What an interpreter is there for: to do the work, or to help multiprocessing."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

ProcessRole = Literal["worker", "fork_server", "resource_tracker"]


_HELPER: Final = re.compile(r"from [\w.]+\.(resource_tracker|semaphore_tracker|forkserver) import")


def process_role(command_line: Sequence[str]) -> ProcessRole:
    """Return what an interpreter with this command line is there for.

    multiprocessing (and billiard, and loky) start helpers of their own, and
    `opentelemetry-instrument` instruments them as well: the resource tracker, which does nothing,
    and the fork server, whose children do the work.
    """
    match = (
        _HELPER.match(" ".join(command_line[command_line.index("-c") + 1 :]))
        if "-c" in command_line
        else None
    )
    if match is None:
        return "worker"
    return "fork_server" if match[1] == "forkserver" else "resource_tracker"


def is_child() -> bool:
    """Return whether multiprocessing has started this process."""
    # A spawned child is instrumented before it knows its parent; its command line tells.
    parent_process = getattr(sys.modules.get("multiprocessing.process"), "parent_process", None)
    has_parent = parent_process is not None and parent_process() is not None
    return has_parent or "--multiprocessing-fork" in sys.orig_argv
