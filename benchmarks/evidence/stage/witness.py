"""A heartbeat that tells from outside of the package how long the program stood still.

It sleeps for a fixed time, again and again, and writes by how much the worst sleep of each quarter
of a second came late, with the CPU time and the resident set of the process at that moment. In a
thread it feels what any other thread feels: a GIL that is not given back, a process that waits.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Final

import rollout

SLEEP_SECONDS: Final = 0.005
LINE_SECONDS: Final = 0.25
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def start(file: str) -> None:
    """Keep a daemon thread writing one JSON line each quarter of a second."""
    threading.Thread(target=_watch, args=(file,), name="witness", daemon=True).start()


def _watch(file: str) -> None:
    # Wall time: the lines are laid beside the times of events and of snapshot files.
    live_at = time.time() + rollout.LIVE_AT - time.monotonic()
    with Path(file).open("w", encoding="ascii", buffering=1) as lines:
        while True:
            worst = _worst_delay(LINE_SECONDS)
            line = {
                "at": time.time(),
                "live_at": live_at,
                "delay_seconds": worst,
                "cpu_seconds": time.process_time(),
                "resident_bytes": _resident_bytes(),
            }
            lines.write(json.dumps(line) + "\n")


def _worst_delay(seconds: float) -> float:
    worst, end = 0.0, time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        time.sleep(SLEEP_SECONDS)
        worst = max(worst, time.monotonic() - began - SLEEP_SECONDS)
    return worst


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - a read four times a second
        return int(statm.read().split()[1]) * PAGE_BYTES
