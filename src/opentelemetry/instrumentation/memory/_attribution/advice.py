"""What to do about growth, segment by segment: each piece with the number behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._attribution.native_origin import (
    kinds_looked_at,
    named_by_memray,
    python_share,
)
from opentelemetry.instrumentation.memory._probes import mapping_kinds
from opentelemetry.instrumentation.memory.evidence import Advice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.instrumentation.memory._attribution.inquiry import Case
    from opentelemetry.instrumentation.memory.evidence import (
        AllocatorState,
        Evidence,
        EvidenceKind,
        MappingGrowth,
    )
    from opentelemetry.instrumentation.memory.model import MemorySample

MOST_PIECES: Final = 5
# Less than this is not worth a change of settings.
_LEAST_GAIN_BYTES: Final = 8 * 2**20
# malloc gives the end of the heap back from here on, unless it has learnt otherwise.
_DEFAULT_TRIM_THRESHOLD_BYTES: Final = 128 * 1024
_KEPT_ARENAS: Final = 2
# Beyond this it is the one, below that the other; in between nobody knows.
_MOSTLY: Final = 0.5
_HARDLY: Final = 0.25
# A process that makes garbage collects some within this time.
_GC_SECONDS: Final = 60.0
_NOT_OF_FILES: Final = (
    mapping_kinds.MALLOC_HEAP,
    mapping_kinds.MALLOC_ARENA,
    mapping_kinds.OBJECT_ARENA,
    mapping_kinds.THREAD_STACK,
    mapping_kinds.MAIN_STACK,
    mapping_kinds.HUGE_PAGES,
    mapping_kinds.DEVICE,
)


def advice(
    case: Case,
    evidence: Evidence,
    seconds_by_kind: Mapping[EvidenceKind, float],
    latest: MemorySample | None = None,
) -> tuple[Advice, ...]:
    """Return at most five pieces of advice, the most valuable first.

    Args:
        case: The segment and its pace.
        evidence: What was found; its conclusion and its advice are not looked at.
        seconds_by_kind: How long each kind watched growth.
        latest: The newest sample, to see what the garbage collector did meanwhile.
    """
    pieces = [*_on_garbage(case.sample, latest)]
    if case.segment in ("retained", None):
        pieces += _on_fragmentation(evidence.allocator)
    if case.segment in ("native_heap", None):
        pieces += _on_native(case, evidence, seconds_by_kind)
    if case.segment in ("other_anonymous", "shared", "file", None):
        pieces += _on_mappings(evidence)
    if case.segment == "python_heap":
        pieces += _on_python(evidence)
    if case.segment == "native_heap":
        # It does not lead to the leak, and gives time until it is found.
        pieces += _on_fragmentation(evidence.allocator)
    # Stable: what has no gain that can be told keeps its place before what gains little.
    largest = max((each.gain_bytes or 0 for each in pieces), default=0)
    pieces.sort(key=lambda each: -(largest if each.gain_bytes is None else each.gain_bytes))
    return tuple(pieces[:MOST_PIECES])


def _on_garbage(before: MemorySample, latest: MemorySample | None) -> Iterator[Advice]:
    if latest is None or not before.gc_generations:
        return
    pairs = list(zip(before.gc_generations, latest.gc_generations, strict=False))
    lost = sum(after.uncollectable_objects - first.uncollectable_objects for first, after in pairs)
    if lost > 0:
        yield Advice(
            f"the garbage collector has put {lost:,} more uncollectable objects into gc.garbage: "
            "empty it, and turn gc.DEBUG_SAVEALL off if that is set"
        )
    seconds = latest.taken_at_seconds - before.taken_at_seconds
    is_growing = (latest.heap_used_bytes or 0) > (before.heap_used_bytes or 0)
    if (
        pairs
        and is_growing
        and seconds >= _GC_SECONDS
        and not any(after.collections - first.collections for first, after in pairs)
    ):
        yield Advice(
            f"the garbage collector has not run once in {seconds:.0f} s while the heap grew by "
            f"{_size((latest.heap_used_bytes or 0) - (before.heap_used_bytes or 0))}: "
            "if gc.disable() was called, cycles stay; call gc.collect() or gc.enable()"
        )


def _on_fragmentation(state: AllocatorState | None) -> Iterator[Advice]:
    if state is None:
        return
    if _is_worth(state.trimmable_bytes):
        of_free = (
            f" of {_size(state.free_bytes)} that malloc holds free" if state.free_bytes else ""
        )
        yield Advice(
            f"malloc_trim(0) would give back about {_size(state.trimmable_bytes)} now{of_free}: "
            "ctypes.CDLL(None).malloc_trim(0) at a quiet moment",
            state.trimmable_bytes,
        )
    if state.arenas is not None and state.arenas > _KEPT_ARENAS:
        spare = state.spare_arenas_free_bytes
        if _is_worth(spare):
            threads = f" for {state.threads} threads" if state.threads is not None else ""
            yield Advice(
                f"{state.arenas} malloc arenas{threads} hold {_size(state.free_bytes)} free: "
                f"MALLOC_ARENA_MAX=2 would gain about {_size(spare)}, which is what all but "
                "the two fullest hold, at the price of threads waiting for one another in malloc",
                spare,
            )
    if _is_worth(state.top_bytes):
        yield Advice(
            f"{_size(state.top_bytes)} are free at the end of the malloc heap: malloc keeps more "
            "there after large blocks were freed; "
            f"MALLOC_TRIM_THRESHOLD_={_DEFAULT_TRIM_THRESHOLD_BYTES} gives it back when it is "
            "freed",
            state.top_bytes,
        )
    if _is_worth(state.object_arenas_free_bytes):
        yield Advice(
            f"{_size(state.object_arenas_free_bytes)} are free in arenas of Python's object "
            "allocator, each held by an object that is still alive, and malloc_trim does not "
            "reach them: make peaks smaller (fewer objects at once), or recycle workers"
        )
    if _is_worth(state.given_back_bytes):
        yield Advice(
            f"{_size(state.given_back_bytes)} that malloc counts as free are not resident: "
            "something calls malloc_trim already, so retained is up to as much too high, and "
            "other_anonymous too low"
        )


def _on_native(
    case: Case, evidence: Evidence, seconds_by_kind: Mapping[EvidenceKind, float]
) -> Iterator[Advice]:
    share = python_share(evidence, case.bytes_per_second, seconds_by_kind)
    if share is None:
        return
    if share >= _MOSTLY:
        yield Advice(
            f"{share:.0%} of the native heap's growth is Python objects over 512 bytes, which "
            f"come from malloc: {_what_of_python(evidence)}"
        )
    elif share < _HARDLY and "sites" not in kinds_looked_at(evidence):
        yield Advice(
            f"what containers gained explains {share:.0%} of the native heap's growth, and code "
            "lines were not watched: the rest is C code, or Python objects over 512 bytes in many "
            "small containers"
        )
    elif share < _HARDLY:
        where = ", ".join(
            f"{each.mapping} +{_size(_grown(each))}"
            for each in evidence.mappings[:2]
            if each.mapping != mapping_kinds.OBJECT_ARENA
        )
        yield Advice(
            f"Python objects over 512 bytes explain {share:.0%} of the native heap's growth, so "
            f"C code keeps the rest{f' ({where})' if where else ''}{_which_function(evidence)}"
        )
    else:
        yield Advice(
            f"Python objects over 512 bytes explain {share:.0%} of the native heap's growth; the "
            f"rest may be C. Begin with {_what_of_python(evidence)}"
        )


def _which_function(evidence: Evidence) -> str:
    """Return the function that memray has named; where it has named none, `sites` says why."""
    for site in named_by_memray(evidence.sites)[:1]:
        return f": {site.site} keeps {_size(site.bytes_per_second * 3600)} an hour"
    return ""


def _on_python(evidence: Evidence) -> Iterator[Advice]:
    if evidence.containers or evidence.types or evidence.sites:
        yield Advice(f"bound or empty what grew: {_what_of_python(evidence)}")


def _what_of_python(evidence: Evidence) -> str:
    for each in evidence.containers[:1]:
        entries = each.entries_after - each.entries_before
        name = each.path or f"a {each.container_type}"
        return f"{name} gained {entries:,} entries, {_size(each.bytes_grown)}"
    for kind in evidence.types[:1]:
        more = kind.count_after - kind.count_before
        return f"{more:,} more {kind.type_name}, {_size(kind.bytes_grown)}"
    for site in evidence.sites[:1]:
        return f"{site.site} keeps {_size(site.bytes_per_second * 3600)} an hour"
    return "the code lines that allocate most"


def _on_mappings(evidence: Evidence) -> Iterator[Advice]:
    for each in evidence.mappings:
        grown, more = _grown(each), each.count_after - each.count_before
        if each.mapping == mapping_kinds.THREAD_STACK and more > 0:
            yield Advice(
                f"{more} more thread stacks ({each.count_after} now, {_size(grown)} more "
                "resident): join threads, or use a pool of a fixed size"
            )
        elif each.mapping == mapping_kinds.SHARED_MEMORY:
            yield Advice(
                f"shared memory grew by {_size(grown)}, {more:+,} mappings: close mmap objects "
                "and SharedMemory blocks, and unlink them"
            )
        elif mapping_kinds.ANONYMOUS in each.mapping:
            yield Advice(
                f"{_of_mappings(each.mapping, more)} grew by {_size(grown)}: mmap, or an allocator "
                f"of its own, in C code{_which_function(evidence)}"
            )
        elif each.mapping not in _NOT_OF_FILES:
            yield Advice(
                f"{each.mapping} grew by {_size(grown)}, {more:+,} mappings: pages of files are "
                "taken back by the kernel when memory is short, unless they were written to"
            )


def _of_mappings(mapping: str, more: int) -> str:
    return f"{more:,} more {mapping} mappings" if more > 0 else f"{mapping} mappings"


def _grown(mapping: MappingGrowth) -> int:
    return mapping.bytes_after - mapping.bytes_before


def _is_worth(gain_bytes: int | None) -> bool:
    return gain_bytes is not None and gain_bytes >= _LEAST_GAIN_BYTES


def _size(value: float | None) -> str:
    return "an unknown amount" if value is None else f"{value / 2**20:,.1f} MiB"
