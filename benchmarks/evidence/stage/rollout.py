"""The moment at which a program's faulty release goes live, and the pace of its work.

The programs import this and nothing else of the exam. Until the release is live they are healthy.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

WARM_UP_SECONDS: Final = float(os.environ.get("EVIDENCE_WARM_UP_SECONDS", "8"))
LIVE_AT: Final = time.monotonic() + WARM_UP_SECONDS


def is_live() -> bool:
    """Return whether the faulty release has been rolled out."""
    return time.monotonic() >= LIVE_AT


def paced(per_second: float) -> Iterator[int]:
    """Yield the number of each turn, evenly in time; turns that were missed are not made up for."""
    turn, due = 0, time.monotonic()
    while True:
        yield turn
        turn += 1
        due = max(due + 1 / per_second, time.monotonic() - 1 / per_second)
        time.sleep(max(0.0, due - time.monotonic()))
