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
        label: The same in one or two, for a picture.
        meaning: What it does to the memory, in one sentence.
        segments: The segments to watch; none when none moves.
        path: Where the requests go that do it.
        requests: How many of them are sent, spread over the working share of the phase.
        share: The phase's part of the run; the shares add up to 1.
        working_share: The part of the phase after which the last request is sent. What is left
            shows what has become of it.
    """

    title: str
    label: str
    meaning: str
    segments: tuple[Segment, ...]
    path: str
    requests: int
    share: float
    working_share: float = 0.8


LEAK: Final = Phase(
    "taking orders",
    "taking orders, with a leak",
    "Each order subscribes to price changes and is never unsubscribed: a leak.",
    ("python_heap",),
    "/orders",
    300,
    0.53,
    working_share=1.0,
)

# Each of the first ones moves a segment, and is something that services do and that is no leak: it
# levels off, comes in few large steps, or is given back.
PHASES: Final = (
    Phase(
        "answering requests",
        "start",
        "Nothing is kept: the memory stays where it is.",
        (),
        "/",
        0,
        0.05,
    ),
    Phase(
        "filling a session table",
        "session table",
        "Each new visitor leaves a session; the more have one, the fewer are new.",
        ("python_heap",),
        "/sessions",
        40,
        0.09,
    ),
    Phase(
        "mapping memory and files",
        "mapped memory",
        "Each request maps private and shared memory, and reads a mapped file.",
        ("other_anonymous", "file", "shared"),
        "/mappings",
        2,
        0.06,
    ),
    Phase(
        "building two reports",
        "two reports",
        "Each keeps 80,000 rows of 520 bytes, which malloc serves.",
        ("native_heap",),
        "/reports",
        2,
        0.05,
    ),
    Phase(
        "dropping 7 of 8 rows",
        "rows dropped",
        "Freed and yet resident, pinned by the rows that stay: fragmentation.",
        ("retained",),
        "/reports/thin",
        2,
        0.09,
    ),
    Phase(
        "letting everything go",
        "all let go",
        "Sessions end, too. What the kernel cannot get back is retained, for reuse.",
        ("retained",),
        "/release",
        5,
        0.06,
    ),
    Phase(
        "answering requests again",
        "steady",
        "Nothing is kept: the risk is low, and the reason says why.",
        (),
        "/",
        0,
        0.07,
    ),
    LEAK,
)
