"""What the sample service is made to do, one phase after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory.model import Segment


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run with one kind of request.

    Attributes:
        title: What happens, in a few words.
        meaning: What it does to the memory, in one sentence.
        segment: The segment to watch, or None when none moves.
        path: Where the requests go that do it.
        requests: How many of them are sent, spread over the phase.
        share: The phase's part of the run; the shares add up to 1.
    """

    title: str
    meaning: str
    segment: Segment | None
    path: str
    requests: int
    share: float


PHASES: Final = (
    Phase(
        "answering requests",
        "Nothing is kept: the memory stays where it is.",
        None,
        "/",
        0,
        0.08,
    ),
    Phase(
        "filling a session table",
        "Each request leaves 24,000 small Python objects behind.",
        "python_heap",
        "/sessions",
        40,
        0.15,
    ),
    Phase(
        "caching images",
        "Each request keeps 4 MiB in byte strings, which malloc serves.",
        "native_heap",
        "/images",
        20,
        0.13,
    ),
    Phase(
        "mapping buffers",
        "Each request maps 4 MiB of private memory past every allocator.",
        "other_anonymous",
        "/buffers",
        9,
        0.10,
    ),
    Phase(
        "reading a search index",
        "Each request reads 6 MiB of a mapped file: pages of the kernel's cache.",
        "file",
        "/index",
        8,
        0.10,
    ),
    Phase(
        "writing to shared memory",
        "Each request fills 5 MiB that other processes could map as well.",
        "shared",
        "/shared",
        8,
        0.10,
    ),
    Phase(
        "building a report",
        "Each request keeps 14,000 rows of 520 bytes in the native heap.",
        "native_heap",
        "/rows",
        12,
        0.10,
    ),
    Phase(
        "dropping 7 of 8 rows",
        "Freed and yet resident, pinned by the rows that stay: fragmentation.",
        "retained",
        "/rows/thin",
        12,
        0.12,
    ),
    Phase(
        "letting everything go",
        "The kernel gets back what it can; the rest is retained, for reuse.",
        "retained",
        "/release",
        6,
        0.12,
    ),
)
