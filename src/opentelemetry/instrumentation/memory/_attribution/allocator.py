"""How malloc has come to keep what is free, and how much of it could be given back at once."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._attribution.inquiry import LONGEST_STEP_SECONDS
from opentelemetry.instrumentation.memory._attribution.mappings import LARGEST_MAPPING_BYTES
from opentelemetry.instrumentation.memory._probes import mapping_kinds
from opentelemetry.instrumentation.memory._probes.arenas import ArenaProbe
from opentelemetry.instrumentation.memory._probes.base import SourceHidden
from opentelemetry.instrumentation.memory._probes.malloc import malloc_probe
from opentelemetry.instrumentation.memory._probes.mappings import read_addresses, read_residency
from opentelemetry.instrumentation.memory._probes.threads import thread_count
from opentelemetry.instrumentation.memory.evidence import AllocatorState, Findings, Skipped
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from opentelemetry.instrumentation.memory._attribution.inquiry import Case
    from opentelemetry.instrumentation.memory._probes.arenas import Arena
    from opentelemetry.instrumentation.memory._probes.base import Allocator, Probe
    from opentelemetry.instrumentation.memory._probes.mappings import Mapping
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory.evidence import EvidenceKind

_KEPT_ARENAS: Final = 2
_HEAP_KINDS: Final = (mapping_kinds.MALLOC_HEAP, mapping_kinds.MALLOC_ARENA)
_ABSENT: Final = (SourceUnavailable, SourceHidden, OSError, ValueError)


class AllocatorInquiry:
    """Asks malloc what is free, arena by arena, and the kernel how much of that is resident.

    Args:
        clock: What reads cost.
        malloc_cost_seconds: Returns what the last read of malloc's figures cost the sampler, or
            None. malloc_info walks the same chunks, with the same locks. Without it they are read
            here first.
        malloc: Malloc's figures.
        arenas: The arenas.
    """

    kind: EvidenceKind = "allocator"
    is_holding = False
    interim: Findings | None = None

    def __init__(
        self,
        clock: Clock,
        malloc_cost_seconds: Callable[[], float | None] = lambda: None,
        malloc: Probe[Allocator] | None = None,
        arenas: Probe[tuple[Arena, ...]] | None = None,
    ) -> None:
        self._clock = clock
        self._malloc_cost_seconds = malloc_cost_seconds
        self._malloc = malloc_probe() if malloc is None else malloc
        self._arenas = ArenaProbe() if arenas is None else arenas

    def gather(self, case: Case) -> Generator[float, None, Findings]:
        """Return the state of the allocators; parts that nobody tells are None."""
        cost_seconds = self._malloc_cost_seconds()
        free_bytes: int | None = None
        arenas: tuple[Arena, ...] = ()
        given_back_bytes: int | None = None
        why: str | None = None
        try:
            if cost_seconds is None:
                started = self._clock.thread_cpu()
                figures = self._malloc.read()
                cost_seconds = self._clock.thread_cpu() - started
                free_bytes = max(figures.committed_bytes - figures.used_bytes, 0)
                yield 0.0
            if self._malloc.name == "mallinfo2":
                if cost_seconds > LONGEST_STEP_SECONDS:
                    why = (
                        f"malloc has so many free chunks that counting them takes "
                        f"{cost_seconds * 1000:.0f} ms, with its arenas locked"
                    )
                else:
                    arenas = self._arenas.read()
                    yield 0.0
        except _ABSENT as error:
            why = str(error)
        if arenas:
            free_bytes = sum(arena.free_bytes for arena in arenas)
            given_back_bytes = yield from self._given_back_bytes(arenas)
        state = allocator_state(
            arenas,
            thread_count(),
            free_bytes,
            given_back_bytes,
            _object_arenas_free_bytes(case),
        )
        return Findings(allocator=state, skipped=() if why is None else (Skipped(self.kind, why),))

    def _given_back_bytes(self, arenas: Sequence[Arena]) -> Generator[float, None, int | None]:
        """Return what malloc has obtained by its account and is not resident."""
        try:
            kinds = mapping_kinds.Kinds()
            heaps: list[Mapping] = []
            with closing(read_addresses()) as parts:
                for part in parts:
                    found = [kinds.next(mapping) for mapping in part]
                    heaps += [each[1] for each in found if each and each[0] in _HEAP_KINDS]
                    yield 0.0
            last = kinds.next(None)
            if last and last[0] in _HEAP_KINDS:
                heaps.append(last[1])
            with closing(read_residency([heaps], LARGEST_MAPPING_BYTES)) as parts:
                for _ in parts:
                    yield 0.0
        except _ABSENT:
            return None
        resident_bytes = sum(mapping.resident_bytes or 0 for mapping in heaps)
        return max(sum(arena.system_bytes for arena in arenas) - resident_bytes, 0)


def allocator_state(
    arenas: Sequence[Arena],
    threads: int | None,
    free_bytes: int | None,
    given_back_bytes: int | None,
    object_arenas_free_bytes: int | None,
) -> AllocatorState:
    """Return what the arenas tell together.

    Pages that are not resident are taken for free ones that were given back before: malloc goes on
    to count those as free. So what was allocated and never touched makes `trimmable_bytes` too low.
    """
    if not arenas:
        return AllocatorState(None, threads, free_bytes, None, object_arenas_free_bytes)
    free_by_arena = sorted((arena.free_bytes for arena in arenas), reverse=True)
    whole_pages = sum(arena.trimmable_bytes for arena in arenas)
    return AllocatorState(
        arenas=len(arenas),
        threads=threads,
        free_bytes=free_bytes,
        trimmable_bytes=max(whole_pages - (given_back_bytes or 0), 0),
        object_arenas_free_bytes=object_arenas_free_bytes,
        spare_arenas_free_bytes=sum(free_by_arena[_KEPT_ARENAS:]),
        top_bytes=sum(arena.top_bytes for arena in arenas if arena.is_main),
        given_back_bytes=given_back_bytes,
    )


def _object_arenas_free_bytes(case: Case) -> int | None:
    used, committed = case.sample.heap_used_bytes, case.sample.heap_committed_bytes
    return None if used is None or committed is None else max(committed - used, 0)
