"""What an investigation finds: frozen values with types, counts, sizes, module paths and lines.

Nothing in here holds a value of the application: no key, no repr, no argument. Names that were made
at run time are cut to a bounded form before they get here (see `_attribution/naming.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory.model import Segment

EvidenceKind = Literal["mappings", "allocator", "routes", "containers", "sites"]
"""One way of looking, each with a budget of its own; the cheapest first."""

UNKNOWN_HOLDER = "held outside Python"
"""How `ContainerGrowth.held_by` ends where nobody knows what holds a container."""


@dataclass(frozen=True, slots=True)
class TypeGrowth:
    """Objects of one type that became more between two censuses.

    Attributes:
        type_name: Such as `shop.models.Session`.
        count_before: How many the first census saw.
        count_after: How many the second saw.
        bytes_grown: Estimate: what the additional objects take up themselves, without what they
            refer to.
    """

    type_name: str
    count_before: int
    count_after: int
    bytes_grown: int


@dataclass(frozen=True, slots=True)
class ContainerGrowth:
    """A container that has more entries than it had.

    Attributes:
        path: How to get to it, such as `shop.cache._sessions`; None where no path was found.
        container_type: Such as `dict`, `collections.deque` or `functools.lru_cache`.
        entries_before: Entries at the first census.
        entries_after: Entries at the second.
        element_types: What is in the newer entries, the most frequent first, as (type, count in a
            bounded sample).
        bytes_grown: Estimate: the additional entries with what they alone seem to hold.
        held_by: What holds it where the path ends outside Python or is unknown, in words.
    """

    path: str | None
    container_type: str
    entries_before: int
    entries_after: int
    element_types: tuple[tuple[str, int], ...]
    bytes_grown: int
    held_by: str | None = None

    @property
    def is_placed(self) -> bool:
        """Whether it is known what holds it; a list of what might hold it is no place."""
        held_by = self.held_by
        return self.path is not None or not (held_by is None or held_by.endswith(UNKNOWN_HOLDER))


@dataclass(frozen=True, slots=True)
class SiteGrowth:
    """A line of code whose allocations are kept.

    Attributes:
        site: File and line, such as `shop/views.py:42`.
        callers: The lines that called it, nearest first; empty with one frame.
        bytes_grown: Kept during the burst.
        blocks_grown: The number of blocks kept.
        bytes_per_second: The same as a rate.
        is_native: Whether a C function allocated it outside of Python's allocators.
    """

    site: str
    callers: tuple[str, ...]
    bytes_grown: int
    blocks_grown: int
    bytes_per_second: float
    is_native: bool = False


@dataclass(frozen=True, slots=True)
class RouteGrowth:
    """What one request of a route, or one run of a task, keeps.

    Attributes:
        route: The route's template or the task's name.
        requests: How many were counted.
        bytes_per_request: Estimate.
        least_bytes: Lower end of its 95 % confidence interval; above zero, or it is not told.
        most_bytes: Upper end.
    """

    route: str
    requests: int
    bytes_per_request: float
    least_bytes: float
    most_bytes: float


@dataclass(frozen=True, slots=True)
class MappingGrowth:
    """One kind of memory mapping that grew.

    Attributes:
        mapping: `malloc heap`, `malloc arena`, `thread stack`, `anonymous`, `shared memory`, or the
            name of a mapped library or of a named mapping.
        count_before: Mappings at the first look.
        count_after: Mappings at the second.
        bytes_before: Their resident bytes at the first look.
        bytes_after: Their resident bytes at the second.
    """

    mapping: str
    count_before: int
    count_after: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, slots=True)
class AllocatorState:
    """How malloc has come to keep what is free.

    Attributes:
        arenas: Malloc arenas in use.
        threads: Threads of the process.
        free_bytes: Free, and kept by malloc.
        trimmable_bytes: What `malloc_trim(0)` would give back now, by estimate.
        object_arenas_free_bytes: Free within the object allocator's arenas, which only empty arenas
            give back.
        spare_arenas_free_bytes: Free in all arenas but the two that hold most of what is free.
        top_bytes: Free at the end of the main arena.
        given_back_bytes: Counted as free by malloc, and not resident: given back by an earlier
            `malloc_trim`, or never touched.
    """

    arenas: int | None
    threads: int | None
    free_bytes: int | None
    trimmable_bytes: int | None
    object_arenas_free_bytes: int | None
    spare_arenas_free_bytes: int | None = None
    top_bytes: int | None = None
    given_back_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, with the number behind it.

    Attributes:
        text: One sentence that states the number.
        gain_bytes: What it would save, where that can be told.
    """

    text: str
    gain_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one kind of evidence has cost.

    Attributes:
        kind: Which.
        cpu_seconds: CPU time of the investigating thread, and what the application is estimated to
            have been slowed down by.
        longest_pause_seconds: The longest time for which it may have kept other threads waiting,
            without garbage collections that fell due meanwhile.
        memory_bytes: What it held at most, by estimate.
    """

    kind: EvidenceKind
    cpu_seconds: float
    longest_pause_seconds: float
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """A kind of evidence that was not gathered, and why, in words."""

    kind: EvidenceKind
    why: str


CulpritKind = Literal[
    "container", "type", "site", "route", "mapping", "native", "fragmentation", "unsure"
]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The name that an investigation puts to a leak.

    Attributes:
        kind: What sort of thing is named; `unsure` where the evidence does not single one out.
        culprit: Its name, or None when unsure.
        confidence: Between 0 and 1: the part of the segment's growth that it explains, lowered by
            the runner-up's.
        sentence: The answer as a person would say it.
    """

    kind: CulpritKind
    culprit: str | None
    confidence: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What one kind of evidence brings home; most of it is empty."""

    types: tuple[TypeGrowth, ...] = ()
    containers: tuple[ContainerGrowth, ...] = ()
    sites: tuple[SiteGrowth, ...] = ()
    routes: tuple[RouteGrowth, ...] = ()
    mappings: tuple[MappingGrowth, ...] = ()
    allocator: AllocatorState | None = None
    advice: tuple[Advice, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    seconds: float | None = None
    """How long growth was watched for these, where that differs from the investigation's length."""
    slowdown_cpu_seconds: float = 0.0
    """CPU time that the application lost by being watched."""
    longest_pause_seconds: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one investigation has found.

    Attributes:
        segment: The segment that it was about, or None when nobody suspected one.
        segment_bytes_grown: How much that segment grew meanwhile.
        seconds: How long it took.
        conclusion: The answer.
        costs: One entry a kind that was tried.
    """

    segment: Segment | None
    segment_bytes_grown: int | None
    seconds: float
    conclusion: Conclusion
    types: tuple[TypeGrowth, ...] = ()
    containers: tuple[ContainerGrowth, ...] = ()
    sites: tuple[SiteGrowth, ...] = ()
    routes: tuple[RouteGrowth, ...] = ()
    mappings: tuple[MappingGrowth, ...] = ()
    allocator: AllocatorState | None = None
    advice: tuple[Advice, ...] = ()
    costs: tuple[Cost, ...] = ()
    skipped: tuple[Skipped, ...] = ()
