"""A million free malloc chunks: what one mallinfo2 costs then, and whom it holds up."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import psutil
from harness import MILLI, PERCENT, Effort, Line, column, fresh, seconds_per_call
from heaps import free_chunks
from sampling import simulated_share_of_core

from opentelemetry.instrumentation.memory._probes import platform_probes

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE = "With a million free malloc chunks"

_CHUNKS = 1_000_000
_HOURS = 24
_READS = 3
# Larger than any size that malloc keeps per thread, so each request takes the arena's lock.
_BEYOND_THREAD_CACHE = 3000


def measure(effort: Effort) -> list[Line]:
    """Return the cost of one read, its share of a day, and the longest stalls it causes."""
    results = [fresh(costs) for _ in range(effort.rounds)]
    clean = [fresh(clean_share) for _ in range(effort.rounds)]
    longest = "longest stall of another thread"
    return [
        Line("one mallinfo2", column(results, "mallinfo2", MILLI), "ms"),
        Line(
            f"samples of {_HOURS} h, simulated, wake-ups not counted",
            column(results, "share", PERCENT),
            "% of a core",
            0.03,
        ),
        Line("the same without free chunks", [PERCENT * share for share in clean], "% of a core"),
        Line(f"{longest}, pure Python, nobody reads", column(results, "python_alone", MILLI), "ms"),
        Line(f"{longest}, pure Python, mallinfo2", column(results, "python", MILLI), "ms"),
        Line(
            f"{longest}, pure Python, psutil.heap_info()",
            column(results, "python_psutil", MILLI) if "python_psutil" in results[0] else (),
            "ms",
            note="" if "python_psutil" in results[0] else "this psutil has no heap_info",
        ),
        Line(f"{longest}, allocating, nobody reads", column(results, "malloc_alone", MILLI), "ms"),
        Line(f"{longest}, allocating, mallinfo2", column(results, "malloc", MILLI), "ms"),
    ]


def costs() -> dict[str, float]:
    """Return what reading costs and whom it stalls, in a process with free chunks."""
    free_chunks(_CHUNKS)
    read = platform_probes().native.read
    found = {
        "mallinfo2": seconds_per_call(read),
        "share": simulated_share_of_core(_HOURS),
        "python_alone": _longest_stall(_nothing, _count),
        "python": _longest_stall(read, _count),
        "malloc_alone": _longest_stall(_nothing, _allocate),
        "malloc": _longest_stall(read, _allocate),
    }
    heap_info = getattr(psutil, "heap_info", None)
    if heap_info is not None:
        found["python_psutil"] = _longest_stall(heap_info, _count)
    return found


def clean_share() -> float:
    """Return the share of a core of the same samples on a clean heap."""
    return simulated_share_of_core(_HOURS)


def _longest_stall(read: Callable[[], object], work: Callable[[], object]) -> float:
    """Return the longest time that `work`, done over and over, stood still during some reads."""

    def read_repeatedly() -> None:
        for _ in range(_READS):
            read()
            time.sleep(0.05)

    reader = threading.Thread(target=read_repeatedly)
    longest = 0.0
    before = time.perf_counter()
    reader.start()
    while reader.is_alive():
        work()
        now = time.perf_counter()
        longest = max(longest, now - before)
        before = now
    return longest


def _nothing() -> None:
    time.sleep(0.2)


def _count() -> int:
    return sum(range(10))


def _allocate() -> bytes:
    return bytes(_BEYOND_THREAD_CACHE)
