"""The sample service: a small shop that keeps memory of every kind, on request.

`opentelemetry-instrument` adds metrics and events from outside; all but `/verdict` knows nothing of
them.
"""

from __future__ import annotations

import mmap
import os
import random
import tempfile
import time
from typing import Final

from flask import Flask

from opentelemetry.instrumentation.memory import MemoryInstrumentor

MEBIBYTE: Final = 2**20
_VISITORS: Final = 80_000
_VISITS_A_REQUEST: Final = 6_000
_ROWS_A_REPORT: Final = 80_000
# Just too large for the object allocator, so malloc serves it; and the gap that seven of them leave
# is under a page, so malloc_trim cannot give it back. protobuf calls that now and then.
_ROW_BYTES: Final = 520
_BUFFER_BYTES: Final = 17 * MEBIBYTE
_READ_BYTES: Final = 24 * MEBIBYTE
_SHARED_BYTES: Final = 20 * MEBIBYTE
_ITEMS_AN_ORDER: Final = 1_300

app: Final = Flask(__name__)


class Session:
    """A visitor: this object, two texts, a number and a time make five small objects."""

    __slots__ = ("basket", "seen_at_seconds", "token", "visits")

    def __init__(self, number: int) -> None:
        self.token = f"{number:0400d}"
        self.basket = f"{number:0400d}"
        self.visits = number << 32
        self.seen_at_seconds = time.time()


class Subscription:
    """One item of an order, to be told when its price changes."""

    __slots__ = ("item", "note", "previous")

    def __init__(self, item: int, previous: Subscription | None) -> None:
        self.item = item << 32
        self.note = f"{item:0400d}"
        self.previous = previous


class PriceFeed:
    """Tells prices to subscribers, newest first, and never loses one."""

    def __init__(self) -> None:
        self.newest: Subscription | None = None

    def subscribe(self, item: int) -> None:
        """Remember a subscriber, for ever."""
        self.newest = Subscription(item, self.newest)


class Index:
    """A file of which ever more is read through a mapping."""

    def __init__(self, size_bytes: int) -> None:
        # A file in tmpfs, as /tmp often is, would count as shared memory.
        folder = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None  # noqa: S108 - nameless file
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(size_bytes // MEBIBYTE):
                file.write(b"\x01" * MEBIBYTE)
            file.flush()
            self._pages = mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_READ)
        self._read_bytes = 0

    def read(self, size_bytes: int) -> None:
        """Read the next stretch, page by page."""
        end = min(self._read_bytes + size_bytes, len(self._pages))
        for offset in range(self._read_bytes, end, mmap.PAGESIZE):
            self._pages[offset]
        self._read_bytes = end


# As long as it gets from the start: a table that is copied as it grows would show as steps.
sessions: Final[list[Session | None]] = [None] * _VISITORS
visits: Final = random.Random(1)  # noqa: S311 - the same visits in each run
buffers: Final[list[mmap.mmap]] = []
indexes: Final[list[Index]] = []
shared: Final[list[mmap.mmap]] = []
reports: Final[list[list[bytes]]] = []
prices: Final = PriceFeed()


def open_sessions(count: int) -> None:
    """Open that many sessions, but none for a visitor who has one."""
    for visitor in visits.choices(range(_VISITORS), k=count):
        if sessions[visitor] is None:
            sessions[visitor] = Session(visitor)


# Those that a service restores when it starts.
open_sessions(_VISITS_A_REQUEST)


@app.get("/")
def front_page() -> dict[str, int]:
    """Return which process answers."""
    return {"pid": os.getpid()}


@app.get("/verdict")
def verdict() -> dict[str, int | str]:
    """Return what the leak detector thinks of this process, and why."""
    latest = MemoryInstrumentor().latest_verdict()
    told = {} if latest is None else {"state": latest.state, "reason": latest.reason}
    return {**front_page(), **told}


@app.post("/sessions")
def visit() -> dict[str, int]:
    """Keep small Python objects for each visitor who has not been here before."""
    open_sessions(_VISITS_A_REQUEST)
    return front_page()


@app.post("/mappings")
def map_memory() -> dict[str, int]:
    """Map private memory, read more of a mapped file, and fill shared memory."""
    buffers.append(_filled(mmap.mmap(-1, _BUFFER_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON)))
    if not indexes:
        indexes.append(Index(2 * _READ_BYTES))
    indexes[0].read(_READ_BYTES)
    shared.append(_filled(mmap.mmap(-1, _SHARED_BYTES, flags=mmap.MAP_SHARED | mmap.MAP_ANON)))
    return front_page()


@app.post("/reports")
def add_report() -> dict[str, int]:
    """Keep many byte strings that lie side by side."""
    reports.append([bytes([1 + number % 255]) * _ROW_BYTES for number in range(_ROWS_A_REPORT)])
    return front_page()


@app.post("/reports/thin")
def thin_report() -> dict[str, int]:
    """Drop seven of eight rows of the oldest report that is still complete."""
    for report in reports:
        if len(report) == _ROWS_A_REPORT:
            report[:] = report[::8]
            break
    return front_page()


@app.post("/release")
def release() -> dict[str, int]:
    """Drop one of the collections, whichever is next, and at last the sessions."""
    for kept in (shared, indexes, buffers, reports):
        if kept:
            kept.clear()
            return front_page()
    sessions[:] = [None] * _VISITORS
    return front_page()


@app.post("/orders")
def order() -> dict[str, int]:
    """Subscribe to the price of each item, and forget that it must be undone."""
    for item in range(_ITEMS_AN_ORDER):
        prices.subscribe(item)
    return front_page()


def _filled(memory: mmap.mmap) -> mmap.mmap:
    # Pages that nobody has written to are not resident.
    for offset in range(0, len(memory), mmap.PAGESIZE):
        memory[offset] = 1
    return memory
