"""A heartbeat that tells from outside of the package how long the program stood still.

It sleeps for a fixed time, again and again, and writes by how much the worst sleep of each quarter
of a second came late, with the CPU time and the resident set of the process at that moment. In a
thread it feels what any other thread feels: a GIL that is not given back, a process that waits. It
listens to the garbage collector as well, which stops every thread, and tells whose allocation has
made it run.
"""

from __future__ import annotations

import gc
import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Final

import rollout

SLEEP_SECONDS: Final = 0.005
LINE_SECONDS: Final = 0.25
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
INVESTIGATION: Final = "opentelemetry-memory-evidence"
"""The name of the thread that investigates."""

_FULL: Final = 2


def start(file: str) -> None:
    """Keep a daemon thread writing one JSON line each quarter of a second."""
    threading.Thread(target=_watch, args=(file,), name="witness", daemon=True).start()


class _Collections:
    """What the garbage collector did since the last line: one collection runs at a time."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._began: tuple[float, float] | None = None
        self._ended: list[tuple[int, int, float]] = []
        gc.callbacks.append(self._note)

    @property
    def seconds(self) -> float:
        """Return how long collections took so far, with one that is just ending."""
        began = self._began
        return self._seconds + (0.0 if began is None else time.monotonic() - began[0])

    def _note(self, phase: str, facts: dict[str, Any]) -> None:
        if phase == "start":
            self._began = (time.monotonic(), time.thread_time())
        elif self._began is not None:
            began, cpu = self._began
            self._ended.append(
                (facts["generation"], threading.get_ident(), time.thread_time() - cpu)
            )
            self._began = None
            self._seconds += time.monotonic() - began

    def take(self, investigations: set[int | None]) -> dict[str, Any]:
        """Return the fields of a line, and begin the next."""
        ended, self._ended = self._ended, []
        full = [each for each in ended if each[0] == _FULL]
        return {
            "collection_cpu_seconds": max((each[2] for each in ended), default=0.0),
            "full_collections": len(full),
            "full_collections_of_investigation": sum(each[1] in investigations for each in full),
            "collections_of_investigation": sum(each[1] in investigations for each in ended),
        }


def _watch(file: str) -> None:
    # Wall time: the lines are laid beside the times of events and of snapshot files.
    live_at = time.time() + rollout.LIVE_AT - time.monotonic()
    collections = _Collections()
    known: set[int | None] = set()
    with Path(file).open("w", encoding="ascii", buffering=1) as lines:
        while True:
            delays = _worst_delays(LINE_SECONDS, collections)
            before = known
            known = {each.ident for each in _investigations()}
            line = {
                "at": time.time(),
                "live_at": live_at,
                **delays,
                # Without its own: it has more to read while there is an investigation.
                "cpu_seconds": time.process_time() - time.thread_time(),
                "resident_bytes": _resident_bytes(),
                "is_investigated": bool(known),
                **collections.take(known | before),
            }
            lines.write(json.dumps(line) + "\n")


def _worst_delays(seconds: float, collections: _Collections) -> dict[str, float]:
    """Return the worst delay of all, without collections, and as far as the investigation ran."""
    worst = beside = by_investigation = 0.0
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        collecting = collections.seconds
        threads = [each.native_id for each in _investigations()]
        running = sum(map(_thread_cpu_seconds, threads))
        time.sleep(SLEEP_SECONDS)
        delay = time.monotonic() - began - SLEEP_SECONDS
        worst = max(worst, delay)
        beside = max(beside, delay - (collections.seconds - collecting))
        ran = sum(map(_thread_cpu_seconds, threads)) - running
        by_investigation = max(by_investigation, min(delay, ran))
    return {
        "delay_seconds": worst,
        "delay_beside_collections_seconds": beside,
        "delay_by_investigation_seconds": by_investigation,
    }


def _investigations() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == INVESTIGATION]


def _thread_cpu_seconds(thread: int | None) -> float:
    """Return the CPU time of a thread, or 0 when it has ended: its share of a delay is unknown."""
    try:
        with open(f"/proc/self/task/{thread}/schedstat", "rb") as schedstat:  # noqa: PTH123 - as below
            return int(schedstat.read().split()[0]) / 1e9
    except OSError:
        return 0.0


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - a read four times a second
        return int(statm.read().split()[1]) * PAGE_BYTES
