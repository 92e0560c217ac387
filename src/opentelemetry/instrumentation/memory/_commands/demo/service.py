"""The sample service: a small shop that keeps memory of every kind, on request.

It knows nothing of OpenTelemetry; `opentelemetry-instrument` adds the metrics from outside.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from typing import Final

from flask import Flask

MEBIBYTE: Final = 2**20
_SESSIONS_A_REQUEST: Final = 6_000
_ROWS_A_REQUEST: Final = 14_000
# Just too large for the object allocator, so malloc serves it; and the gap that seven of them leave
# is under a page, so malloc_trim cannot give it back. protobuf calls that now and then.
_ROW_BYTES: Final = 520
_INDEX_BYTES: Final = 48 * MEBIBYTE

app: Final = Flask(__name__)


class Session:
    """A visitor: this object, a token, a number and a time make four small objects."""

    __slots__ = ("seen_at_seconds", "token", "visits")

    def __init__(self, number: int) -> None:
        self.token = f"{number:0100d}"
        self.visits = number << 32
        self.seen_at_seconds = time.time()


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


sessions: Final[list[Session]] = []
images: Final[list[bytes]] = []
buffers: Final[list[mmap.mmap]] = []
indexes: Final[list[Index]] = []
shared: Final[list[mmap.mmap]] = []
reports: Final[list[list[bytes]]] = []


@app.get("/")
def front_page() -> dict[str, int]:
    """Return which process answers."""
    return {"pid": os.getpid()}


@app.post("/sessions")
def open_sessions() -> dict[str, int]:
    """Keep small Python objects."""
    sessions.extend(Session(len(sessions) + number) for number in range(_SESSIONS_A_REQUEST))
    return front_page()


@app.post("/images")
def cache_images() -> dict[str, int]:
    """Keep large byte strings."""
    images.extend(bytes([number + 1]) * MEBIBYTE for number in range(4))
    return front_page()


@app.post("/buffers")
def map_buffers() -> dict[str, int]:
    """Map private memory directly."""
    buffers.append(_filled(mmap.mmap(-1, 4 * MEBIBYTE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON)))
    return front_page()


@app.post("/index")
def search() -> dict[str, int]:
    """Read more of a mapped file."""
    if not indexes:
        indexes.append(Index(_INDEX_BYTES))
    indexes[0].read(6 * MEBIBYTE)
    return front_page()


@app.post("/shared")
def share() -> dict[str, int]:
    """Fill shared memory."""
    shared.append(_filled(mmap.mmap(-1, 5 * MEBIBYTE, flags=mmap.MAP_SHARED | mmap.MAP_ANON)))
    return front_page()


@app.post("/rows")
def add_rows() -> dict[str, int]:
    """Keep many byte strings that lie side by side."""
    reports.append([bytes([1 + number % 255]) * _ROW_BYTES for number in range(_ROWS_A_REQUEST)])
    return front_page()


@app.post("/rows/thin")
def thin_rows() -> dict[str, int]:
    """Drop seven of eight rows of the oldest report that is still complete."""
    for report in reports:
        if len(report) == _ROWS_A_REQUEST:
            report[:] = report[::8]
            break
    return front_page()


@app.post("/release")
def release() -> dict[str, int]:
    """Drop one of the collections, whichever is next."""
    for kept in (shared, indexes, buffers, images, reports, sessions):
        if kept:
            kept.clear()
            break
    return front_page()


def _filled(memory: mmap.mmap) -> mmap.mmap:
    # Pages that nobody has written to are not resident.
    for offset in range(0, len(memory), mmap.PAGESIZE):
        memory[offset] = 1
    return memory
