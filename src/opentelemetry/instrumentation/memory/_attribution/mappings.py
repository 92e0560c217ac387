"""Which kind of mapping grows: two looks at all of them, some time apart."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._probes import mapping_kinds
from opentelemetry.instrumentation.memory._probes.base import SourceHidden
from opentelemetry.instrumentation.memory._probes.cpython import ObjectAllocatorProbe
from opentelemetry.instrumentation.memory._probes.mappings import (
    read_addresses,
    read_mappings,
    read_residency,
)
from opentelemetry.instrumentation.memory.evidence import Findings, MappingGrowth, Skipped
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Container, Generator

    from opentelemetry.instrumentation.memory._attribution.inquiry import Case
    from opentelemetry.instrumentation.memory._probes.base import Allocator, Probe
    from opentelemetry.instrumentation.memory._probes.mappings import Mapping
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory.evidence import EvidenceKind

# What is resident in one mapping is counted in one go, 13 ms for each GiB. A larger process is read
# by pagemap, which can be read in parts and cannot tell a page of zeros that was never written to.
LARGEST_RESIDENT_BYTES: Final = 2**29
# Address ranges of this size are reserved in advance (maps of databases, sanitizers), and would
# take a second each to look through.
LARGEST_MAPPING_BYTES: Final = 64 * 2**30
# The object allocator's statistics take 1 ms for each GiB, with the GIL held.
_LARGEST_OBJECT_HEAP_BYTES: Final = 8 * 2**30
_WANTED_BYTES: Final = 4 * 2**20
_LEAST_SECONDS: Final = 5.0
_MOST_SECONDS: Final = 300.0
_LEAST_GROWTH_BYTES: Final = 64 * 1024
_MOST_TOLD: Final = 10
# As many more of one size are not there by chance.
_FEWEST_OF_A_SIZE: Final = 3
# CPython: Include/internal/pycore_obmalloc.h, ARENA_BITS on 64-bit platforms.
_OBJECT_ARENA_BYTES: Final = 2**20


@dataclass(slots=True)
class Tally:
    """Number and resident bytes of mappings, by kind and, of anonymous ones, by size.

    The object allocator's arenas are anonymous mappings, which the kernel joins with their
    neighbours, so only that allocator can tell how much of them it is.
    """

    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    resident_bytes: Counter[tuple[str, int]] = field(default_factory=Counter)
    object_arena_bytes: int = 0
    _kinds: mapping_kinds.Kinds = field(default_factory=mapping_kinds.Kinds)

    def add(self, mapping: Mapping | None) -> None:
        """Count one more, by address; None ends the counting."""
        found = self._kinds.next(mapping)
        if found is None:
            return
        kind, known = found
        key = kind, known.size_bytes if kind == mapping_kinds.ANONYMOUS else 0
        self.counts[key] += 1
        self.resident_bytes[key] += known.resident_bytes or 0


class MappingInquiry:
    """Compares all mappings of the process with themselves a while later."""

    kind: EvidenceKind = "mappings"
    is_holding = False
    interim: Findings | None = None

    def __init__(self, clock: Clock, objects: Probe[Allocator] | None = None) -> None:
        self._clock = clock
        self._objects = ObjectAllocatorProbe() if objects is None else objects

    def gather(self, case: Case) -> Generator[float, None, Findings]:
        """Look twice, and return the kinds that grew."""
        began_at = self._clock.now()
        try:
            before = yield from self._look(case)
            yield case.seconds_to_grow(_WANTED_BYTES, _LEAST_SECONDS, _MOST_SECONDS)
            after = yield from self._look(case)
        except (SourceUnavailable, OSError) as error:
            return Findings(skipped=(Skipped(self.kind, str(error)),))
        return Findings(mappings=growth(before, after), seconds=self._clock.now() - began_at)

    def _look(self, case: Case) -> Generator[float, None, Tally]:
        resident_bytes = case.sample.resident_bytes
        if resident_bytes is not None and resident_bytes > LARGEST_RESIDENT_BYTES:
            parts = read_residency(read_addresses(), LARGEST_MAPPING_BYTES)
        else:
            parts = read_mappings()
        result = Tally()
        with closing(parts):
            for part in parts:
                for mapping in part:
                    result.add(mapping)
                # No rest is asked for, so that one look shows one moment.
                yield 0.0
        result.add(None)
        result.object_arena_bytes = self._object_arena_bytes(case)
        return result

    def _object_arena_bytes(self, case: Case) -> int:
        if (case.sample.heap_committed_bytes or 0) > _LARGEST_OBJECT_HEAP_BYTES:
            return 0
        try:
            return self._objects.read().committed_bytes
        except (SourceUnavailable, SourceHidden, OSError, ValueError):
            return 0  # they are among the anonymous mappings then


def growth(before: Tally, after: Tally) -> tuple[MappingGrowth, ...]:
    """Return what grew, most bytes first; anonymous mappings of one size apart if those do."""
    sizes = {
        key
        for key, count in after.counts.items()
        if count - before.counts[key] >= _FEWEST_OF_A_SIZE
    }
    (counts_before, bytes_before), (counts_after, bytes_after) = (
        _by_name(each, sizes) for each in (before, after)
    )
    grown = [
        MappingGrowth(
            name,
            counts_before[name],
            counts_after[name],
            bytes_before[name],
            bytes_after[name],
        )
        for name in counts_after
    ]
    told = [each for each in grown if _is_worth_telling(each)]
    return tuple(sorted(told, key=_bytes_grown, reverse=True)[:_MOST_TOLD])


def _is_worth_telling(mapping: MappingGrowth) -> bool:
    # An idle thread's stack is three pages; what counts is that there are more and more of them.
    is_thread = (
        mapping.mapping == mapping_kinds.THREAD_STACK and mapping.count_after > mapping.count_before
    )
    return _bytes_grown(mapping) >= (1 if is_thread else _LEAST_GROWTH_BYTES)


def _by_name(tally: Tally, sizes: Container[tuple[str, int]]) -> tuple[Counter[str], Counter[str]]:
    counts: Counter[str] = Counter()
    resident_bytes: Counter[str] = Counter()
    for key, count in tally.counts.items():
        kind, size_bytes = key
        name = f"{_size(size_bytes)} {kind}" if size_bytes and key in sizes else kind
        counts[name] += count
        resident_bytes[name] += tally.resident_bytes[key]
    arena_bytes = min(tally.object_arena_bytes, resident_bytes[mapping_kinds.ANONYMOUS])
    resident_bytes[mapping_kinds.ANONYMOUS] -= arena_bytes
    resident_bytes[mapping_kinds.OBJECT_ARENA] = arena_bytes
    counts[mapping_kinds.OBJECT_ARENA] = arena_bytes // _OBJECT_ARENA_BYTES
    return counts, resident_bytes


def _bytes_grown(mapping: MappingGrowth) -> int:
    return mapping.bytes_after - mapping.bytes_before


def _size(size_bytes: int) -> str:
    for unit_bytes, unit in ((2**30, "GiB"), (2**20, "MiB")):
        if size_bytes >= unit_bytes:
            return f"{size_bytes / unit_bytes:.4g} {unit}"
    return f"{size_bytes / 2**10:.4g} KiB"
