"""What an investigation cost, as the witness in the program has felt it.

The control is the time between the moment at which the leak went live and the investigation: the
same work, the same leak, nobody looking.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Line:
    """What a witness wrote; see `stage/witness.py`."""

    at: float
    live_at: float
    delay_seconds: float
    cpu_seconds: float
    resident_bytes: int
    delay_beside_collections_seconds: float = 0.0
    delay_by_investigation_seconds: float = 0.0
    is_investigated: bool = False
    collection_cpu_seconds: float = 0.0
    full_collections: int = 0
    full_collections_of_investigation: int = 0
    collections_of_investigation: int = 0


@dataclass(frozen=True)
class Overhead:
    """Measured from outside of the package.

    Attributes:
        added_cpu_seconds: CPU time of the whole process beyond the control's pace.
        pause_seconds: The latest that a heartbeat came during the investigation.
        control_pause_seconds: The same for the control.
        added_bytes: How far the resident set rose above the control's pace.
    """

    added_cpu_seconds: float
    pause_seconds: float
    control_pause_seconds: float
    added_bytes: float


def lines(file: Path) -> list[Line]:
    """Return what a witness has written so far; a line that is not complete yet is left out."""
    if not file.exists():
        return []
    whole = file.read_text(encoding="ascii").rpartition("\n")[0]
    return [Line(**json.loads(line)) for line in whole.splitlines()]


def measure(witnessed: Sequence[Line], began_at: float, ended_at: float) -> Overhead | None:
    """Return the overhead between two moments, or None where there is no control."""
    control = [line for line in witnessed if line.live_at <= line.at <= began_at]
    watched = [line for line in witnessed if began_at < line.at <= ended_at]
    if len(control) < 4 or not watched:
        return None
    last = control[-1]
    seconds = watched[-1].at - last.at
    return Overhead(
        added_cpu_seconds=watched[-1].cpu_seconds
        - last.cpu_seconds
        - seconds * _pace([(line.at, line.cpu_seconds) for line in control]),
        pause_seconds=max(line.delay_seconds for line in watched),
        control_pause_seconds=max(line.delay_seconds for line in control),
        added_bytes=_above([(line.at, line.resident_bytes) for line in [*control, *watched]], last),
    )


def _pace(points: Sequence[tuple[float, float]]) -> float:
    (first, low), (last, high) = points[0], points[-1]
    return (high - low) / (last - first)


def _above(points: Sequence[tuple[float, float]], last: Line) -> float:
    """Return how far the points rise above a line from the control's end to the last point.

    The leak goes on, so what is left at the end is the leak's; only what comes and goes is ours.
    """
    end_at, end = points[-1]
    pace = (end - last.resident_bytes) / max(end_at - last.at, 1e-9)
    return max(
        level - last.resident_bytes - pace * (at - last.at) for at, level in points if at >= last.at
    )
