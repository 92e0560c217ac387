"""What one sample says about each segment, and what it does not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory.model import MemorySample, Segment

LIVE: Final[tuple[Segment, ...]] = ("python_heap", "native_heap", "other_anonymous")
WATCHED: Final[tuple[Segment, ...]] = (*LIVE, "retained")


def read_level(sample: MemorySample, segment: Segment) -> int | None:
    """Return the bytes of one segment, fresh or not; None when its source is absent."""
    parts = sample.partition
    if segment == "python_heap":
        used = sample.heap_used_bytes
        return parts.python_heap_bytes if used is None else used
    if segment == "native_heap":
        return parts.native_heap_bytes
    return parts.retained_bytes if segment == "retained" else parts.other_anonymous_bytes


def fresh_levels(sample: MemorySample) -> dict[Segment, float]:
    """Return the segments' fresh figures; one that an allocator has not updated says nothing."""
    is_python_stale = bool(sample.python_heap_age_seconds)
    is_native_stale = bool(sample.native_heap_age_seconds)
    levels: dict[Segment, float] = {}
    for segment in WATCHED:
        is_stale = (is_python_stale and segment != "native_heap") or (
            is_native_stale and segment != "python_heap"
        )
        value = None if is_stale else read_level(sample, segment)
        if value is not None and math.isfinite(value):
            levels[segment] = float(value)
    return levels
