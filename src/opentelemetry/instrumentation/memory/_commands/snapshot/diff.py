"""Two snapshots side by side: what grew between them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._commands.analyze.figures import duration, rate
from opentelemetry.instrumentation.memory._commands.snapshot import words
from opentelemetry.instrumentation.memory._commands.snapshot.layout import Cell, Section, number
from opentelemetry.instrumentation.memory.model import SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Document = Mapping[str, Any]
    Entry = Mapping[str, Any]
    Row = list[Cell]

_ABSENT: Final = "not listed"


def sections(first: Document, second: Document) -> list[Section]:
    """Return the comparison; what did not change is left out."""
    seconds = _seconds_between(first, second)
    return [
        Section(
            "Snapshots", [*_headings(first, second, seconds), *_doubts(first, second, seconds)]
        ),
        Section("Resident set", _segments(first, second, seconds)),
        Section(
            "Containers, entries", _entries(first, second, "containers", _path, "entries_after")
        ),
        Section("Types, objects", _entries(first, second, "types", _type, "count_after")),
        Section("Lines, kept per hour", _rates(first, second)),
        Section("Routes, kept per request", _routes(first, second)),
        Section("Mappings, resident", _mappings(first, second)),
        Section("Answers", [_answer("first", first), _answer("second", second)]),
    ]


def _seconds_between(first: Document, second: Document) -> float | None:
    try:
        moments = [dt.datetime.fromisoformat(each["written_at"][:23]) for each in (first, second)]
    except ValueError:  # digits in the right places, and no time: 99:99
        return None
    return (moments[1] - moments[0]).total_seconds()


def _headings(first: Document, second: Document, seconds: float | None) -> list[Row]:
    rows = [
        [Cell(name), Cell(words.moment(each)), Cell(words.origin(each))]
        for name, each in (("first", first), ("second", second))
    ]
    if seconds is not None and seconds > 0:
        rows.append([Cell(f"{duration(seconds)} between them")])
    return rows


def _doubts(first: Document, second: Document, seconds: float | None) -> list[Row]:
    """Return what makes a comparison mean less than it seems to."""
    found = []
    if seconds is not None and seconds < 0:
        found.append("the first was written after the second")
    if first["service"]["name"] != second["service"]["name"]:
        found.append("these are different services")
    elif first["service"]["version"] != second["service"]["version"]:
        found.append("these are different versions of the service")
    elif first["process"]["pid"] != second["process"]["pid"]:
        found.append("these are different processes")
    return [[Cell(f"note: {each}", "yellow")] for each in found]


def _segments(first: Document, second: Document, seconds: float | None) -> list[Row]:
    samples = first["sample"], second["sample"]
    if None in samples:
        return [[Cell("unknown: one of them has no sample")]]
    rows = []
    for segment in SEGMENTS:
        before, after = (each["segments"][f"{segment}_bytes"] for each in samples)
        if before is not None or after is not None:
            rows.append(_change(segment, before, after, seconds))
    resident = [each["resident_bytes"] for each in samples]
    rows.append(_change("sum", resident[0], resident[1], seconds))
    return rows


def _change(name: str, before: int | None, after: int | None, seconds: float | None) -> Row:
    change = None if before is None or after is None else after - before
    pace = rate(change / seconds) if change is not None and seconds and seconds > 0 else ""
    return [
        Cell(name),
        number(words.size_or_nothing(before)),
        Cell("→"),
        number(words.size_or_nothing(after)),
        number(words.signed_size(change)),
        number(pace),
    ]


def _path(entry: Entry) -> str | None:
    # Two that nobody can name need not be the same.
    if entry["path"] is None:
        return None
    return f"{words.text(entry['path'])} ({words.text(entry['container_type'])})"


def _type(entry: Entry) -> str:
    return words.text(entry["type_name"])


def _joined(
    first: Document, second: Document, kind: str, name_of: Callable[[Entry], str | None], value: str
) -> list[tuple[str, Any, Any]]:
    """Return name, value in the first and value in the second, what grew most first.

    Evidence lists only what grew most, so what one of them does not list may be there all the same.
    """
    values: list[dict[str, Any]] = [{}, {}]
    for document, found in zip((first, second), values, strict=True):
        for entry in (document["evidence"] or {}).get(kind, ()):
            name = name_of(entry)
            if name is not None:
                # Of several entries with one name the first is what grew most.
                found.setdefault(name, entry[value])
    rows = [(name, values[0].get(name), values[1].get(name)) for name in {**values[1], **values[0]}]
    changed = [row for row in rows if row[1] != row[2]]
    return sorted(changed, key=lambda row: ((row[1] or 0) - (row[2] or 0), row[0]))


def _entries(
    first: Document, second: Document, kind: str, name_of: Callable[[Entry], str | None], value: str
) -> list[Row]:
    return [
        [
            number("" if before is None or after is None else words.signed_count(after - before)),
            Cell(f"{name}: {_count(before)} → {_count(after)}"),
        ]
        for name, before, after in _joined(first, second, kind, name_of, value)
    ]


def _count(value: int | None) -> str:
    return _ABSENT if value is None else words.count(value)


def _rates(first: Document, second: Document) -> list[Row]:
    def shown(value: float | None) -> str:
        return _ABSENT if value is None else rate(value)

    joined = _joined(
        first, second, "sites", lambda each: words.text(each["site"]), "bytes_per_second"
    )
    return [[Cell(f"{name}: {shown(before)} → {shown(after)}")] for name, before, after in joined]


def _routes(first: Document, second: Document) -> list[Row]:
    joined = _joined(
        first, second, "routes", lambda each: words.text(each["route"]), "bytes_per_request"
    )
    return [[Cell(f"{name}: {_size(before)} → {_size(after)}")] for name, before, after in joined]


def _mappings(first: Document, second: Document) -> list[Row]:
    joined = _joined(
        first, second, "mappings", lambda each: words.text(each["mapping"]), "bytes_after"
    )
    return [
        [
            number("" if before is None or after is None else words.signed_size(after - before)),
            Cell(f"{name}: {_size(before)} → {_size(after)}"),
        ]
        for name, before, after in joined
    ]


def _size(value: float | None) -> str:
    return _ABSENT if value is None else words.size_or_nothing(value)


def _answer(name: str, document: Document) -> Row:
    evidence = document["evidence"]
    if evidence is None:
        return [Cell(name), Cell(f"no evidence: {words.text(document['why_no_evidence'])}")]
    return [Cell(name), Cell(words.text(evidence["conclusion"]["sentence"]))]
