"""Whose memory it is: the service as its resource names it, the process and its interpreter."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Field 22 of proc(5), counted from the one behind the command's name.
_START_TIME: Final = 19


@dataclass(frozen=True, slots=True)
class Identity:
    """Who writes a snapshot.

    Attributes:
        pid: The process.
        uptime_seconds: How long it has run, or None where the platform does not tell. A forked
            child's time counts from the fork.
        runtime_name: Such as `cpython`.
        runtime_version: Such as `3.12.4`.
        service_name: Empty where the environment does not name it.
        service_version: The same.
        service_instance_id: The same.
    """

    pid: int
    uptime_seconds: float | None
    runtime_name: str
    runtime_version: str
    service_name: str = ""
    service_version: str = ""
    service_instance_id: str = ""


def this_process(
    service_name: str = "", service_version: str = "", service_instance_id: str = ""
) -> Identity:
    """Return the identity of the calling process, in under 100 µs."""
    return Identity(
        pid=os.getpid(),
        uptime_seconds=uptime_seconds(),
        runtime_name=sys.implementation.name,
        runtime_version=".".join(str(part) for part in sys.version_info[:3]),
        service_name=service_name,
        service_version=service_version,
        service_instance_id=service_instance_id,
    )


def uptime_seconds(proc: str = "/proc") -> float | None:
    """Return for how long the calling process has run, or None where that cannot be read."""
    try:
        stat = (Path(proc) / "self" / "stat").read_bytes()
        system_seconds = float((Path(proc) / "uptime").read_bytes().split()[0])
        # The command's name may hold spaces and brackets.
        ticks = int(stat.rpartition(b")")[2].split()[_START_TIME])
        up_seconds = system_seconds - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    # Some containers tell their own uptime, and the process's start by the host's.
    return up_seconds if up_seconds >= 0 else None
