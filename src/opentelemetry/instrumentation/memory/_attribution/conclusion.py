"""From findings to one answer, or to an honest "unsure"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._attribution.native_origin import (
    kinds_looked_at,
    named_by_memray,
    python_share,
)
from opentelemetry.instrumentation.memory.evidence import Conclusion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.instrumentation.memory._attribution.inquiry import Case
    from opentelemetry.instrumentation.memory.evidence import (
        ContainerGrowth,
        CulpritKind,
        Evidence,
        EvidenceKind,
        MappingGrowth,
        SiteGrowth,
    )

# Below this part of the growth an answer is a guess.
_LEAST_EXPLAINED: Final = 0.25
_LEAST_CONFIDENCE: Final = 0.4
# Less than this is no growth to speak of in a process that nobody suspects.
_LEAST_UNSUSPECTED_BYTES: Final = 2**20
_HEAPS: Final = frozenset({"object arena", "malloc heap", "malloc arena"})
# Two containers whose entries grew alike hold the same objects: an index beside a cache.
_ALIKE: Final = 0.1
_FEWEST_MAPPINGS: Final = 3
# One line that keeps everything is an answer by itself, however fast the segment seems to grow.
_DOMINANT_SHARE: Final = 0.5


def conclude(
    case: Case, evidence: Evidence, seconds_by_kind: Mapping[EvidenceKind, float]
) -> Conclusion:
    """Return the best answer that the evidence supports.

    Confidence is the part of the segment's growth that the answer explains, lowered by whatever
    else explains it as well. An answer of little confidence is told as unsure.

    Args:
        case: The segment and its pace.
        evidence: What was found; its conclusion is not looked at.
        seconds_by_kind: How long each kind watched growth, where it told.
    """
    if case.segment == "retained":
        return _fragmentation(evidence)
    if case.bytes_per_second <= 0:
        case = replace(case, bytes_per_second=_pace_seen(evidence, seconds_by_kind))
    expected = {kind: case.bytes_per_second * seconds for kind, seconds in seconds_by_kind.items()}
    outside = _outside_of_heaps(evidence)
    is_mapped = case.segment == "other_anonymous"
    answers = [
        answer
        for answer in (
            _mapping(outside, expected.get("mappings", 0.0)) if is_mapped else None,
            _container(evidence, expected.get("containers", 0.0)),
            _site(evidence, case.bytes_per_second),
            _type(evidence, expected.get("containers", 0.0)),
            _native(case, evidence, seconds_by_kind),
            _route(evidence, expected.get("routes", 0.0)),
            _mapping(outside, expected.get("mappings", 0.0)) if case.segment is None else None,
        )
        if answer is not None and answer.confidence >= _LEAST_CONFIDENCE
    ]
    if not answers:
        return Conclusion("unsure", None, 0.0, _nothing_stands_out(evidence))
    best = answers[0]
    return Conclusion(best.kind, best.culprit, best.confidence, _in_context(best, evidence))


def _outside_of_heaps(evidence: Evidence) -> Evidence:
    """Return the same without the mappings of which containers and lines tell more."""
    return replace(
        evidence, mappings=tuple(each for each in evidence.mappings if each.mapping not in _HEAPS)
    )


def _pace_seen(evidence: Evidence, seconds_by_kind: Mapping[EvidenceKind, float]) -> float:
    """Return how fast the process was seen to grow, where nobody suspected it, in bytes a second.

    Never so little that the breathing of a healthy process would be explained by a few entries.
    """
    seconds = seconds_by_kind.get("mappings", 0.0)
    grown = sum(each.bytes_after - each.bytes_before for each in evidence.mappings)
    least = _LEAST_UNSUSPECTED_BYTES / max(seconds_by_kind.get("containers", 0.0), 1.0)
    return max(grown / seconds if seconds > 0 else 0.0, least)


def _fragmentation(evidence: Evidence) -> Conclusion:
    state = evidence.allocator
    free = 0 if state is None else (state.free_bytes or 0) + (state.object_arenas_free_bytes or 0)
    kept = f", {_mebibytes(free)} of it by allocators just now" if free else ""
    sentence = f"fragmentation, not a leak: memory was freed and is kept{kept}"
    return Conclusion("fragmentation", "free memory that allocators keep", 0.9, sentence)


def _container(evidence: Evidence, expected_bytes: float) -> Conclusion | None:
    ranked = sorted(evidence.containers, key=lambda each: -each.bytes_grown)
    if not ranked:
        return None
    # The queue may have a place where the list within has none; of others nobody knows.
    places = (each for each in ranked if each.is_placed and _is_alike(ranked[0], each))
    top = next(places, None)
    if top is None:
        return None
    others = [each.bytes_grown for each in ranked if not _is_alike(top, each)]
    confidence = _confidence(top.bytes_grown, max(others, default=0), expected_bytes)
    name = container_name(top)
    what = top.element_types[0][0] if top.element_types else None
    of_what = f", mostly {what}" if what else ""
    sentence = (
        f"{name} ({top.container_type}) grew from {top.entries_before:,} to "
        f"{top.entries_after:,} entries{of_what}"
    )
    return Conclusion("container", name, confidence, sentence)


def container_name(container: ContainerGrowth) -> str:
    """Return how a person would point at a container."""
    if container.path is not None:
        return container.path
    of_what = f" of {container.element_types[0][0]}" if container.element_types else ""
    held_by = f", {container.held_by}" if container.held_by else ""
    return f"{container.container_type}{of_what}{held_by}"


def _is_alike(top: ContainerGrowth, other: ContainerGrowth) -> bool:
    grown = top.entries_after - top.entries_before
    return abs(other.entries_after - other.entries_before - grown) <= _ALIKE * grown


def _site(evidence: Evidence, bytes_per_second: float) -> Conclusion | None:
    ranked = sorted(evidence.sites, key=lambda each: -each.bytes_per_second)
    if not ranked:
        return None
    top = ranked[0]
    share = top.bytes_per_second / sum(each.bytes_per_second for each in ranked)
    explained = min(top.bytes_per_second / bytes_per_second, 1.0) if bytes_per_second else share
    confidence = share if share >= _DOMINANT_SHARE else min(share, explained)
    if explained < _LEAST_EXPLAINED:
        confidence *= explained
    sentence = (
        f"{top.site} keeps {_mebibytes(top.bytes_per_second * 3600)} an hour "
        f"({share:.0%} of what was allocated and kept)"
    )
    return Conclusion("site", top.site, confidence, sentence)


def _type(evidence: Evidence, expected_bytes: float) -> Conclusion | None:
    ranked = sorted(evidence.types, key=lambda each: -each.bytes_grown)
    if not ranked:
        return None
    top = ranked[0]
    runner_up = ranked[1].bytes_grown if len(ranked) > 1 else 0
    sentence = (
        f"{top.type_name}: {top.count_after - top.count_before:,} more objects, "
        f"{top.count_after:,} now; nobody was found to hold them"
    )
    confidence = _confidence(top.bytes_grown, runner_up, expected_bytes)
    return Conclusion("type", top.type_name, confidence, sentence)


def _native(
    case: Case, evidence: Evidence, seconds_by_kind: Mapping[EvidenceKind, float]
) -> Conclusion | None:
    has_compared = seconds_by_kind.get("containers", 0.0) > 0
    has_watched = "sites" in kinds_looked_at(evidence)
    if case.segment != "native_heap" or not (has_compared and has_watched):
        return None
    by_python = python_share(evidence, case.bytes_per_second, seconds_by_kind)
    if by_python is None or by_python >= _LEAST_EXPLAINED:
        return None
    sentence = f"C code: Python objects explain {by_python:.0%} of the growth"
    for site in named_by_memray(evidence.sites)[:1]:
        sentence += f"; {site.site} keeps {_mebibytes(site.bytes_per_second * 3600)} an hour"
    return Conclusion("native", "C code outside of Python's allocators", 1 - by_python, sentence)


def _mapping(evidence: Evidence, expected_bytes: float) -> Conclusion | None:
    grown = [(each.bytes_after - each.bytes_before, each) for each in evidence.mappings]
    ranked = sorted(grown, key=lambda pair: -pair[0])
    if not ranked:
        return None
    top_bytes, top = ranked[0]
    runner_up = ranked[1][0] if len(ranked) > 1 else 0
    confidence = _confidence(top_bytes, runner_up, expected_bytes)
    more = top.count_after - top.count_before
    sentence = f"{top.mapping} mappings grew by {_mebibytes(top_bytes)}"
    if more > 0:
        sentence += f", {more} more of them"
    holder = _holder_of(top, evidence.containers)
    if holder is not None:
        sentence += f", as many as {container_name(holder)} ({holder.container_type}) has gained"
        return Conclusion("container", container_name(holder), confidence, sentence)
    return Conclusion("mapping", top.mapping, confidence, sentence)


def _holder_of(
    mapping: MappingGrowth, containers: Iterable[ContainerGrowth]
) -> ContainerGrowth | None:
    more = mapping.count_after - mapping.count_before
    if more < _FEWEST_MAPPINGS:
        return None
    for each in containers:
        if each.path is not None and abs(each.entries_after - each.entries_before - more) <= max(
            2, more // 4
        ):
            return each
    return None


def _route(evidence: Evidence, expected_bytes: float) -> Conclusion | None:
    ranked = sorted(evidence.routes, key=lambda each: -each.bytes_per_request * each.requests)
    if not ranked:
        return None
    top = ranked[0]
    kept = [each.bytes_per_request * each.requests for each in ranked]
    share = kept[0] / sum(kept)
    if expected_bytes > 0:
        # The only route that keeps anything need not be what leaks.
        share = min(share, _confidence(kept[0], 0.0, expected_bytes))
    sentence = f"{top.route} keeps {top.bytes_per_request:,.0f} bytes a request"
    return Conclusion("route", top.route, share, sentence)


def _confidence(top_bytes: float, runner_up_bytes: float, expected_bytes: float) -> float:
    """Return the part of the growth that the top explains, less for a strong runner-up."""
    if top_bytes <= 0:
        return 0.0
    explained = _explained(top_bytes, expected_bytes)
    if explained < _LEAST_EXPLAINED:
        return explained
    clarity = 1 - 0.5 * max(runner_up_bytes, 0) / top_bytes
    return min(1.0, explained + 0.25) * clarity


def _explained(found: float, expected: float) -> float:
    return 1.0 if expected <= 0 < found else min(found / expected, 1.0) if expected > 0 else 0.0


def _in_context(best: Conclusion, evidence: Evidence) -> str:
    """Return the sentence of the answer with what other kinds of evidence add to it."""
    parts = [best.sentence]
    site = _top_site(evidence.sites)
    if site is not None and best.kind in ("container", "type", "route"):
        parts.append(f"most of what is kept is allocated at {site.site}")
    if evidence.routes and best.kind != "route":
        named: list[str] = [
            f"{each.route} ({each.bytes_per_request:,.0f} bytes a request)"
            for each in evidence.routes[:2]
        ]
        parts.append(f"kept by {' and '.join(named)}")
    return "; ".join(parts)


def _top_site(sites: Iterable[SiteGrowth]) -> SiteGrowth | None:
    return max(sites, key=lambda each: each.bytes_per_second, default=None)


def _nothing_stands_out(evidence: Evidence) -> str:
    seen: list[tuple[CulpritKind, int]] = [
        ("container", len(evidence.containers)),
        ("type", len(evidence.types)),
        ("site", len(evidence.sites)),
        ("route", len(evidence.routes)),
        ("mapping", len(evidence.mappings)),
    ]
    found = [f"{count} {kind}s" for kind, count in seen if count]
    if not found:
        return "unsure: nothing was seen to grow while it was watched"
    return f"unsure: {', '.join(found)} grew, none of them accounts for enough of it"


def _mebibytes(value: float) -> str:
    return f"{value / 2**20:,.1f} MiB"
