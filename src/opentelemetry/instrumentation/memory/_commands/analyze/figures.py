"""Numbers as people read them."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._commands.analyze.judgement import Judgement

NOTHING: Final = "-"
_BYTE_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_TIME_UNITS: Final = (("a", 31557600.0), ("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))
_KIBI: Final = 1024.0
# Recordings whose times are larger count seconds since 1970; no process is that old.
CALENDAR_SECONDS: Final = 5e8
_LAST_CALENDAR_SECONDS: Final = 2e11


def size(value: float) -> str:
    """Return bytes in the largest unit that leaves a whole number."""
    for unit in _BYTE_UNITS:
        if abs(value) < _KIBI or unit == _BYTE_UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KIBI
    raise AssertionError


def rate(bytes_per_second: float | None) -> str:
    """Return a rate in bytes an hour."""
    return NOTHING if bytes_per_second is None else f"{size(bytes_per_second * 3600)}/h"


def duration(seconds: float | None) -> str:
    """Return a duration in its largest unit."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    for unit, length in _TIME_UNITS:
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def moment(seconds: float | None) -> str:
    """Return a moment of a recording: a date where its clock is one, else its seconds."""
    if seconds is None or math.isnan(seconds):
        return NOTHING
    if CALENDAR_SECONDS < seconds < _LAST_CALENDAR_SECONDS:
        time = dt.datetime.fromtimestamp(seconds, dt.timezone.utc)
        return time.strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{seconds:.10g} s"


def row(judgement: Judgement) -> tuple[str, ...]:
    """Return the cells of a series, under `HEADINGS`."""
    return (
        _answer(judgement),
        judgement.state.replace("_", " "),
        moment(judgement.declared_at_seconds),
        judgement.segment or NOTHING,
        f"{judgement.max_risk:.2f}",
        rate(judgement.growth_bytes_per_second),
        duration(judgement.time_to_exhaustion_seconds),
        judgement.reason,
    )


def _answer(judgement: Judgement) -> str:
    if judgement.leak:
        return "LEAK"
    if judgement.state == "suspected":
        return "suspected"
    return "no longer" if judgement.alarms_seconds else "no"


HEADINGS: Final = (
    "leak",
    "state",
    "declared at",
    "segment",
    "max risk",
    "growth",
    "limit in",
    "reason",
)
