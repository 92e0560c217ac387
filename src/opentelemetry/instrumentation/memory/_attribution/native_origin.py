"""Is it Python objects over 512 bytes that make the C heap grow, or C?

CPython's object allocator hands anything larger on to malloc, so both are in `native_heap`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.instrumentation.memory.evidence import (
        ContainerGrowth,
        Evidence,
        EvidenceKind,
        SiteGrowth,
    )

# CPython: Objects/obmalloc.c, SMALL_REQUEST_THRESHOLD.
LARGEST_IN_ARENAS_BYTES: Final = 512


def python_share(
    evidence: Evidence, bytes_per_second: float, seconds_by_kind: Mapping[EvidenceKind, float]
) -> float | None:
    """Return which part of the C heap's growth is Python objects over 512 bytes, from 0 to 1.

    Containers and sites see the same objects from two sides, so the larger of the two counts and
    not their sum. Types say nothing: the census counts what the garbage collector tracks, which
    `bytes` and `str` are not, and at the basic size of a class, which is small. None where nobody
    has looked, or the growth is unknown: then it cannot be said that it is C.

    Args:
        evidence: What was found.
        bytes_per_second: How fast the C heap grows.
        seconds_by_kind: How long each kind of evidence watched growth.
    """
    rates: list[float] = []
    # Also where types were not counted and only containers near modules were looked for.
    census_seconds = seconds_by_kind.get("containers", 0.0)
    if census_seconds > 0:
        rates.append(large_container_bytes(evidence.containers) / census_seconds)
    if "sites" in kinds_looked_at(evidence):
        rates.append(large_site_rate(evidence.sites))
    if not rates or bytes_per_second <= 0:
        return None
    return min(max(rates) / bytes_per_second, 1.0)


def kinds_looked_at(evidence: Evidence) -> set[EvidenceKind]:
    """Return the kinds of evidence that were gathered."""
    return {cost.kind for cost in evidence.costs} - {each.kind for each in evidence.skipped}


def large_container_bytes(containers: Iterable[ContainerGrowth]) -> int:
    """Return what the container grew by that gained most, of those with large entries.

    An entry that holds many small objects counts as a large one: an upper bound.
    """
    grown = [
        each.bytes_grown
        for each in containers
        if _is_large(each.bytes_grown, each.entries_after - each.entries_before)
    ]
    return max(grown, default=0)


def large_site_rate(sites: Iterable[SiteGrowth]) -> float:
    """Return how fast lines keep blocks of Python's over 512 bytes, in bytes per second."""
    return sum(
        each.bytes_per_second
        for each in sites
        if not each.is_native and _is_large(each.bytes_grown, each.blocks_grown)
    )


def named_by_memray(sites: Iterable[SiteGrowth]) -> list[SiteGrowth]:
    """Return the native functions that keep most, fastest first; only memray sees them."""
    native = [each for each in sites if each.is_native]
    return sorted(native, key=lambda each: -each.bytes_per_second)


def _is_large(grown_bytes: int, count: int) -> bool:
    return count > 0 and grown_bytes > LARGEST_IN_ARENAS_BYTES * count
