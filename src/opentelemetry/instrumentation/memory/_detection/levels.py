"""What one sample says about each segment, and what it does not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory.model import MemorySample, Segment

LIVE: Final[tuple[Segment, ...]] = ("python_heap", "native_heap", "other_anonymous")


def fresh_levels(sample: MemorySample) -> dict[Segment, float]:
    """Return the segments' fresh figures; one that an allocator has not updated says nothing."""
    parts = sample.partition
    is_python_fresh = not sample.python_heap_age_seconds
    is_native_fresh = not sample.native_heap_age_seconds
    used = sample.heap_used_bytes if sample.heap_used_bytes is not None else parts.python_heap_bytes
    is_all_fresh = is_python_fresh and is_native_fresh
    known: dict[Segment, int | None] = {
        "python_heap": used if is_python_fresh else None,
        "native_heap": parts.native_heap_bytes if is_native_fresh else None,
        "other_anonymous": parts.other_anonymous_bytes if is_all_fresh else None,
        "retained": parts.retained_bytes if is_all_fresh else None,
    }
    return {
        name: float(value)
        for name, value in known.items()
        if value is not None and math.isfinite(value)
    }
