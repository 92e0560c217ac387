"""The values that travel between the rooms of this package: frozen, and free of behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Segment = Literal["python_heap", "native_heap", "retained", "other_anonymous", "file", "shared"]
"""One part of the resident set; see the README's metric table for what each one holds."""

SEGMENTS: Final[tuple[Segment, ...]] = (
    "python_heap",
    "native_heap",
    "retained",
    "other_anonymous",
    "file",
    "shared",
)


@dataclass(frozen=True, slots=True)
class Partition:
    """The resident set, split without remainder.

    Every value is in bytes; None means that no source on this platform tells it. The parts that
    are present add up to the resident set size of the same moment.
    """

    python_heap_bytes: int | None = None
    native_heap_bytes: int | None = None
    retained_bytes: int | None = None
    other_anonymous_bytes: int | None = None
    file_bytes: int | None = None
    shared_bytes: int | None = None

    def present(self) -> tuple[tuple[Segment, int], ...]:
        """Return the known segments with their bytes, in the order of `SEGMENTS`."""
        values = (
            self.python_heap_bytes,
            self.native_heap_bytes,
            self.retained_bytes,
            self.other_anonymous_bytes,
            self.file_bytes,
            self.shared_bytes,
        )
        return tuple(
            (segment, value)
            for segment, value in zip(SEGMENTS, values, strict=True)
            if value is not None
        )


@dataclass(frozen=True, slots=True)
class GcGeneration:
    """What the cyclic garbage collector has done in one generation since the process began."""

    collections: int
    collected_objects: int
    uncollectable_objects: int


@dataclass(frozen=True, slots=True)
class MemorySample:
    """One moment of one process: one timestamp, one set of reads, parts that add up.

    Attributes:
        taken_at_seconds: Monotonic clock; comparable within one process only.
        pid: The process that these values describe.
        resident_bytes: Resident set size, or None where the platform does not tell it.
        virtual_bytes: Virtual size.
        partition: `resident_bytes`, segment by segment.
        heap_used_bytes: Live blocks of CPython's object allocator, as that allocator counts them.
        heap_committed_bytes: What that allocator has obtained from the system.
        limit_bytes: The smallest memory limit that applies, or None when there is none.
        gc_generations: One entry a generation, youngest first; empty where unknown.
        python_heap_age_seconds: How old the object allocator's figures are. They are reused while
            reading them again would cost more than the budget allows.
        native_heap_age_seconds: The same for the C heap.
        limit_usage_bytes: What counts against the limit, of all processes that share it: the
            working set of the control group whose limit it is, up to a minute old, or the virtual
            size under RLIMIT_AS. None where the limit is for this resident set alone, or unknown.
    """

    taken_at_seconds: float
    pid: int
    resident_bytes: int | None = None
    virtual_bytes: int | None = None
    partition: Partition = Partition()
    heap_used_bytes: int | None = None
    heap_committed_bytes: int | None = None
    limit_bytes: int | None = None
    gc_generations: tuple[GcGeneration, ...] = ()
    python_heap_age_seconds: float | None = None
    native_heap_age_seconds: float | None = None
    limit_usage_bytes: int | None = None

    @property
    def external_bytes(self) -> int | None:
        """Private bytes in use outside the object allocator, or None when RSS has no split."""
        other = self.partition.other_anonymous_bytes
        if other is None:
            return None
        return other + (self.partition.native_heap_bytes or 0)

    @property
    def limit_utilization(self) -> float | None:
        """Resident set size as a share of the limit, or None without either."""
        if self.resident_bytes is None or not self.limit_bytes:
            return None
        return self.resident_bytes / self.limit_bytes

    @property
    def headroom_bytes(self) -> int | None:
        """What is left of the limit by all that counts against it; None without a limit or usage.

        Never negative.
        """
        usages = [
            usage for usage in (self.resident_bytes, self.limit_usage_bytes) if usage is not None
        ]
        if self.limit_bytes is None or not usages:
            return None
        return max(self.limit_bytes - max(usages), 0)


LeakState = Literal["warming_up", "quiet", "suspected", "confirmed", "recovered"]
"""What the detector thinks of the process; see the README's "How to read a verdict"."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How fast one segment grows, in bytes per second, robustly estimated."""

    segment: Segment
    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class LeakVerdict:
    """What the detector thinks after one sample, and why.

    Attributes:
        state: `suspected` from a risk of 0.5 on, `confirmed` from 0.9 on, with hysteresis.
        risk: Between 0 and 1: of verdicts at 0.9, nine in ten are leaks.
        segment: The segment that grows most suspiciously, or None.
        growth: The growth of every segment under suspicion, the most suspicious first.
        time_to_exhaustion_seconds: Until the headroom is used up at that rate; None without growth
            or limit.
        reason: One sentence.
    """

    state: LeakState = "warming_up"
    risk: float = 0.0
    segment: Segment | None = None
    growth: tuple[Growth, ...] = ()
    time_to_exhaustion_seconds: float | None = None
    reason: str = "not enough samples yet"
