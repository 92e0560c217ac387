"""Recorded figures as the samples that a sampler would have taken at that moment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory.model import SEGMENTS, MemorySample, Partition

if TYPE_CHECKING:
    from collections.abc import Mapping

Labels = tuple[tuple[str, str], ...]
"""What tells one series of an input from another; empty where there is only one."""

# Larger than any address space, and exact in a float's exponent.
LARGEST_BYTES: Final = 2**62
SIZE_EXPECTED: Final = "a number of bytes, 0 or more, or nothing"


def sample_from_row(  # noqa: PLR0913, PLR0917 - one for each column, once for each row
    time: float,
    rss: int,
    heap_used: int | None,
    heap_committed: int | None,
    native_used: int | None,
    limit: int | None,
) -> MemorySample:
    """Return the sample of a moment that tells sources, not segments.

    The split is the sampler's: what the allocators claim beyond the resident set was never touched
    and comes off the retained part first; bytes of an absent source are in `other_anonymous`.
    """
    room = rss
    python_heap = native_heap = retained = None
    if heap_used is not None:
        python_heap = min(room, heap_used)
        room -= python_heap
    if native_used is not None:
        native_heap = min(room, native_used)
        room -= native_heap
    if heap_used is not None and heap_committed is not None:
        retained = min(max(heap_committed - heap_used, 0), room)
        room -= retained
    return MemorySample(
        taken_at_seconds=time,
        pid=0,
        resident_bytes=rss,
        partition=Partition(python_heap, native_heap, retained, room),
        heap_used_bytes=heap_used,
        heap_committed_bytes=heap_committed,
        limit_bytes=limit,
    )


def sample_from_metrics(time: float, values: Mapping[str, int]) -> MemorySample | None:
    """Return the sample of a moment that is known by metrics, or None without a resident set.

    Args:
        time: In seconds.
        values: By segment, and `rss`, `heap_used`, `heap_committed`, `limit`.
    """
    segments = [values.get(segment) for segment in SEGMENTS]
    if values.get("other_anonymous") is None:
        rss = values.get("rss")
        if rss is None:
            return None
        used, committed = values.get("heap_used"), values.get("heap_committed")
        return sample_from_row(time, rss, used, committed, None, values.get("limit"))
    return MemorySample(
        taken_at_seconds=time,
        pid=0,
        # The segments' sum, as it is of the same process and moment for certain: several
        # instrumentations report process.memory.usage, some of them for the parent process.
        resident_bytes=sum(each for each in segments if each is not None),
        partition=Partition(*segments),
        heap_used_bytes=values.get("heap_used"),
        heap_committed_bytes=values.get("heap_committed"),
        limit_bytes=values.get("limit"),
    )


def whole_bytes(value: object) -> int | None:
    """Return a number of bytes as an integer, or None when it is not one."""
    try:
        number = float(value)  # type: ignore[arg-type] # anything may come; TypeError is expected
    except (TypeError, ValueError, OverflowError):
        return None
    if isinstance(value, bool) or not math.isfinite(number) or not 0 <= number < LARGEST_BYTES:
        return None
    return round(number)
