"""One snapshot for a person: the answer first, then what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._commands.analyze.figures import duration, rate
from opentelemetry.instrumentation.memory._commands.snapshot import words
from opentelemetry.instrumentation.memory._commands.snapshot.layout import (
    Cell,
    Section,
    number,
    sparkline,
)
from opentelemetry.instrumentation.memory.model import SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = list[Cell]

_BARS: Final = 30
_SHOWN_ELEMENTS: Final = 3


def sections(document: Mapping[str, Any]) -> list[Section]:
    """Return the whole report; what is empty is left out."""
    title = f"{words.origin(document)}, {words.moment(document)}"
    return [
        Section(title, [[Cell(words.circumstances(document))]]),
        Section("Verdict", words.verdict(document)),
        *_evidence(document),
        Section("Resident set", _memory(document)),
        *_about_evidence(document["evidence"]),
    ]


def _evidence(document: Mapping[str, Any]) -> list[Section]:
    evidence = document["evidence"]
    if evidence is None:
        return [Section("No evidence", [[Cell(words.text(document["why_no_evidence"]))]])]
    return [
        Section("Answer", _answer(evidence["conclusion"])),
        Section("What to do", [_advice(each) for each in evidence["advice"]]),
        Section("Containers that grew", _containers(evidence)),
        Section("Types that grew", [_type(each) for each in evidence["types"]]),
        Section("Lines whose allocations are kept", _sites(evidence)),
        Section("Kept per request, 95 % interval", [_route(each) for each in evidence["routes"]]),
        Section("Mappings that grew", [_mapping(each) for each in evidence["mappings"]]),
        Section("Allocator", _allocator(evidence["allocator"])),
    ]


def _answer(conclusion: Mapping[str, Any]) -> list[Row]:
    if conclusion["culprit"] is None:
        name = conclusion["kind"]
    else:
        name = f"{words.text(conclusion['culprit'])} ({conclusion['kind']})"
    confidence = conclusion["confidence"]
    sure = "" if confidence is None else f", confidence {confidence:.2f}"
    return [[Cell(f"{name}{sure}", "bold")], [Cell(words.text(conclusion["sentence"]))]]


def _advice(advice: Mapping[str, Any]) -> Row:
    gain = advice["gain_bytes"]
    saved = "" if gain is None else f" (saves {words.size_or_nothing(gain)})"
    return [Cell(words.text(advice["text"]) + saved)]


def _containers(evidence: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for each in evidence["containers"]:
        place = "no path found" if each["path"] is None else words.text(each["path"])
        rows.append(
            [
                number(words.signed_size(each["bytes_grown"])),
                Cell(
                    f"{place} ({words.text(each['container_type'])}): "
                    f"{words.count(each['entries_before'])} → {words.count(each['entries_after'])}"
                    f" entries{_elements(each['element_types'])}"
                ),
            ]
        )
        if each["held_by"] is not None:
            rows.append([Cell(""), Cell(words.text(each["held_by"]))])
    return rows


def _elements(elements: list[Mapping[str, Any]]) -> str:
    names = [words.text(each["type_name"]) for each in elements[:_SHOWN_ELEMENTS]]
    return f", mostly {', '.join(names)}" if names else ""


def _type(grown: Mapping[str, Any]) -> Row:
    before, after = grown["count_before"], grown["count_after"]
    return [
        number(words.signed_size(grown["bytes_grown"])),
        Cell(f"{words.text(grown['type_name'])}: {words.count(before)} → {words.count(after)}"),
    ]


def _sites(evidence: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for each in evidence["sites"]:
        kind = ", native" if each["is_native"] else ""
        rows.append(
            [
                number(words.signed_size(each["bytes_grown"])),
                Cell(
                    f"{words.text(each['site'])}: {words.signed_count(each['blocks_grown'])} "
                    f"blocks, {rate(each['bytes_per_second'])}{kind}"
                ),
            ]
        )
        rows += [[Cell(""), Cell(f"  from {words.text(caller)}")] for caller in each["callers"]]
    return rows


def _route(route: Mapping[str, Any]) -> Row:
    least, most = (words.size_or_nothing(route[end]) for end in ("least_bytes", "most_bytes"))
    return [
        number(words.size_or_nothing(route["bytes_per_request"])),
        Cell(
            f"{words.text(route['route'])}: {least} to {most}, "
            f"{words.count(route['requests'])} requests"
        ),
    ]


def _mapping(mapping: Mapping[str, Any]) -> Row:
    before, after = mapping["bytes_before"], mapping["bytes_after"]
    return [
        number(words.signed_size(after - before)),
        Cell(
            f"{words.text(mapping['mapping'])}: {words.size_or_nothing(before)} → "
            f"{words.size_or_nothing(after)}, "
            f"{words.count(mapping['count_before'])} → {words.count(mapping['count_after'])}"
        ),
    ]


def _allocator(state: Mapping[str, Any] | None) -> list[Row]:
    if state is None:
        return []
    rows = [
        [number(words.size_or_nothing(state[name])), Cell(meaning)]
        for name, meaning in (
            ("free_bytes", "free, and kept by malloc"),
            ("trimmable_bytes", "of which malloc_trim would give back"),
            ("spare_arenas_free_bytes", "of which in all but the two fullest arenas"),
            ("top_bytes", "of which at the end of the main arena"),
            ("given_back_bytes", "counted as free, and not resident"),
            ("object_arenas_free_bytes", "free in the arenas of the object allocator"),
        )
        if state[name] is not None
    ]
    if state["arenas"] is not None and state["threads"] is not None:
        rows.append([number(words.count(state["arenas"])), Cell("malloc arenas")])
        rows.append([number(words.count(state["threads"])), Cell("threads")])
    return rows


def _memory(document: Mapping[str, Any]) -> list[Row]:
    sample = document["sample"]
    if sample is None:
        return [[Cell("unknown: there was no sample yet")]]
    history = document["history"]
    resident = sample["resident_bytes"]
    rows = [
        _course(
            segment, [point["segments"][f"{segment}_bytes"] for point in history], value, resident
        )
        for segment in SEGMENTS
        for value in (sample["segments"][f"{segment}_bytes"],)
        if value is not None
    ]
    rows.append(_course("sum", [point["resident_bytes"] for point in history], resident, resident))
    if history and history[0]["seconds_ago"] is not None:
        rows.append([Cell(f"charts: the last {duration(history[0]['seconds_ago'])}", "dim")])
    if sample["limit_bytes"] is not None:
        rows.append(
            [
                Cell(
                    f"limit {words.size_or_nothing(sample['limit_bytes'])}, "
                    f"{words.ratio(sample['limit_utilization'])} used by this process, "
                    f"{words.size_or_nothing(sample['headroom_bytes'])} left"
                )
            ]
        )
    return rows


def _course(
    name: str, values: list[float | None], latest: int | None, resident: int | None
) -> list[Cell]:
    share = latest / resident if latest is not None and resident else None
    # Thinned from the end, since the last one is the latest.
    kept = values[:: -max(-(-len(values) // _BARS), 1)][::-1]
    return [
        Cell(name),
        number(words.size_or_nothing(latest)),
        number(words.ratio(share)),
        Cell(sparkline(kept)),
    ]


def _about_evidence(evidence: Mapping[str, Any] | None) -> list[Section]:
    if evidence is None:
        return []
    grown = evidence["segment_bytes_grown"]
    about = [f"{duration(evidence['seconds'])} long"]
    if evidence["segment"] is not None and grown is not None:
        about.append(f"{evidence['segment']} changed by {words.signed_size(grown)} meanwhile")
    rows: list[Row] = [[Cell(", ".join(about))]]
    rows += [
        [
            Cell(each["kind"]),
            Cell(
                f"{_milliseconds(each['cpu_seconds'])} of CPU, longest pause "
                f"{_milliseconds(each['longest_pause_seconds'])}, "
                f"held {words.size_or_nothing(each['memory_bytes'])}"
            ),
        ]
        for each in evidence["costs"]
    ]
    rows += [
        [Cell(each["kind"]), Cell(f"skipped: {words.text(each['why'])}")]
        for each in evidence["skipped"]
    ]
    return [Section("The investigation", rows)]


def _milliseconds(seconds: float | None) -> str:
    return words.NOTHING if seconds is None else f"{seconds * 1000:.1f} ms"
