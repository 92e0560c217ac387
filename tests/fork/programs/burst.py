"""A process whose threads leak and churn while its allocations are watched; it may fork meanwhile.

Arguments: `tracemalloc` or `memray`; the segment; `watch`, `fork`, `close`, `wait` or `greenlets`;
a folder for its files; and, if it is to leak in C, a library whose function `grab` does, or
`malloc` to call that by its address. Prints JSON.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._attribution.sites import SiteInquiry, end_in_child
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory.model import MemorySample

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.instrumentation.memory.evidence import Findings

BLOCK_BYTES = 1000
SECRET = "correct-horse-battery-staple"  # noqa: S105 - looks like one, for the test
kept: list[bytes] = []
is_over = threading.Event()


def leak() -> None:
    while not is_over.wait(0.005):
        password = SECRET.encode() * 40
        kept.append(password[:BLOCK_BYTES])


def leak_in_c() -> None:
    library = ctypes.CDLL(sys.argv[5])
    while not is_over.wait(0.005):
        library.grab()


def leak_by_address() -> None:
    malloc = ctypes.CDLL(None).malloc
    while not is_over.wait(0.005):
        malloc(ctypes.c_size_t(BLOCK_BYTES))


def churn() -> None:
    while not is_over.wait(0.002):
        json.loads(json.dumps({SECRET: list(range(50))}))


def gather(watcher: str, segment: str, folder: str) -> Generator[float, None, Findings]:
    # A budget that leaves nothing to wait for.
    inquiry = SiteInquiry(SystemClock(), 1, 1.0, folder, uses_memray=watcher == "memray")
    case = Case(segment, 200.0 * BLOCK_BYTES, MemorySample(0.0, os.getpid()))  # type: ignore[arg-type]
    return inquiry.gather(case)


def is_watched() -> bool:
    memray = sys.modules.get("memray")
    trackers = sys.modules[SiteInquiry.__module__.replace("sites", "sites_memray")]._active
    return tracemalloc.is_tracing() or bool(memray and (trackers or sys.getprofile()))


def go_on_until_second_burst(steps: Generator[float, None, Findings]) -> None:
    starts, was_watched = 0, False
    while starts < 2:
        time.sleep(next(steps) or 0.001)
        starts += is_watched() and not was_watched
        was_watched = is_watched()


def watch(steps: Generator[float, None, Findings]) -> dict[str, object]:
    began, blocks = time.monotonic(), len(kept)
    try:
        while True:
            time.sleep(next(steps) or 0.001)
    except StopIteration as end:
        findings: Findings = end.value
    pace = (len(kept) - blocks) / (time.monotonic() - began)
    return {**dataclasses.asdict(findings), "blocks_per_second": pace}


def fork(steps: Generator[float, None, Findings]) -> dict[str, object]:
    go_on_until_second_burst(steps)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        end_in_child()
        steps.close()
        told = {"is_watched": is_watched(), "files": count_files(), "open": open_files()}
        os.write(write, json.dumps(told).encode())
        os._exit(0)
    os.waitpid(child, 0)
    parent = {"is_watched": is_watched()}
    findings = watch(steps)
    return {"child": json.loads(os.read(read, 1000)), "parent": parent, "sites": findings["sites"]}


def close(steps: Generator[float, None, Findings]) -> dict[str, object]:
    go_on_until_second_burst(steps)
    steps.close()
    return {"is_watched": is_watched()}


def wait(steps: Generator[float, None, Findings]) -> dict[str, object]:
    """Stay within a burst until somebody ends the process."""
    go_on_until_second_burst(steps)
    sys.stdout.write("burst\n")
    sys.stdout.flush()
    while True:
        time.sleep(next(steps) or 0.001)


def watch_greenlets(steps: Generator[float, None, Findings]) -> dict[str, object]:
    """Watch in a process of greenlets, of which the application traces the switches."""
    import greenlet  # noqa: PLC0415 - it is not there in the other scenes

    greenlet.settrace(note_switch)
    return {**watch(steps), "is_traced_as_before": greenlet.gettrace() is note_switch}


def note_switch(*_: object) -> None:
    """Stand for what the application does when greenlets take turns."""


def open_files() -> int:
    """Return how many files without a name this package keeps open."""
    return len(sys.modules[SiteInquiry.__module__.replace("sites", "sites_memray")]._files)


def count_files() -> int:
    return sum(1 for _ in Path(sys.argv[4]).rglob("*"))


def main() -> None:
    watcher, segment, scene, folder, *libraries = sys.argv[1:]
    leaking = leak
    if libraries:
        leaking = leak_by_address if libraries == ["malloc"] else leak_in_c
    threads = [threading.Thread(target=target) for target in (leaking, churn)]
    for thread in threads:
        thread.start()
    steps = gather(watcher, segment, folder)
    scenes = {"watch": watch, "fork": fork, "close": close, "wait": wait}
    told = {**scenes, "greenlets": watch_greenlets}[scene](steps)
    is_over.set()
    for thread in threads:
        thread.join()
    json.dump({**told, "files": count_files(), "leak": line_of_leak()}, sys.stdout)


def line_of_leak() -> str:
    return f"burst.py:{leak.__code__.co_firstlineno + 3}"


if __name__ == "__main__":
    main()
