"""What is no snapshot is refused with its reason, and nothing is ever raised but that."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.snapshots import documents, history, snapshot

from opentelemetry.instrumentation.memory._commands.snapshot import diff, layout, show
from opentelemetry.instrumentation.memory._commands.snapshot.reading import (
    SnapshotError,
    parse,
    read,
    schema,
)
from opentelemetry.instrumentation.memory._commands.snapshot.validation import (
    KEYWORDS,
    Mismatch,
    check,
)
from opentelemetry.instrumentation.memory.responders.snapshot_document import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DESCRIPTIONS = {"$schema", "$id", "$defs", "title", "description"}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["schema", "sample", "verdict", "history", "x"]), inner, max_size=3
        )
    ),
    max_leaves=10,
)


def refusal(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(SnapshotError) as refused:
        parse(content)
    return str(refused.value)


def with_value(path: str, value: Any) -> dict[str, Any]:
    """Return a real snapshot with one value replaced."""
    document = deepcopy(snapshot())
    place: Any = document
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        place = place[part]
    place[last] = value
    return document


def test_what_was_written_is_read() -> None:
    assert parse(to_json(snapshot()).encode()) == snapshot()


def test_indents_and_a_byte_order_mark_are_read() -> None:
    content = b"\xef\xbb\xbf" + json.dumps(snapshot(), indent=8).encode()
    assert parse(content) == snapshot()


def test_field_that_a_later_package_adds_is_no_mistake() -> None:
    assert parse(json.dumps({**snapshot(), "more": [1]}).encode())["more"] == [1]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("verdict.risk", "high", "verdict.risk: found 'high', expected a number or null"),
        ("verdict.state", "sad", "verdict.state: found 'sad', expected one of warming_up, quiet"),
        ("process.pid", -1, "process.pid: found -1, expected at least 0"),
        ("process.pid", True, "process.pid: found true, expected a whole number"),
        ("process.pid", 1.5, "process.pid: found 1.5, expected a whole number"),
        ("process.pid", 10**400, "process.pid: found 1000"),
        ("process", [], "process: found a list of 0, expected an object"),
        ("history.3.resident_bytes", {}, "history[3].resident_bytes: found an object, expected"),
        ("history", [{}] * 61, "history: found a list of 61, expected at most 60 entries"),
        ("sample.limit_bytes", math.nan, "sample.limit_bytes: found nan, expected a whole number"),
        ("evidence.sites.0.site", "x" * 201, "evidence.sites[0].site: found 'xxx"),
        ("evidence.conclusion", None, "evidence.conclusion: found null, expected an object"),
        ("evidence.allocator", 7, "evidence.allocator: found 7, expected an object"),
        ("written_at", "today", "written_at: found 'today', expected text that matches ^[0-9]"),
        ("service.name", "a\x1b[2Jb", "service.name: found"),
    ],
)
def test_field_that_is_wrong_is_named(path: str, value: Any, message: str) -> None:
    assert refusal(with_value(path, value)).startswith(message)


def test_field_that_is_missing_is_named() -> None:
    document = deepcopy(snapshot())
    del document["evidence"]["conclusion"]["kind"]
    assert refusal(document) == "evidence.conclusion.kind: found nothing, expected this field"


def test_refusal_obeys_no_control_characters() -> None:
    assert refusal(with_value("service.name", "a\x1b[2Jb")).isprintable()


@pytest.mark.parametrize("version", [2, 10])
def test_other_version_is_named(version: int) -> None:
    message = refusal({**snapshot(), "schema": f"process-memory-snapshot/{version}"})
    assert message == (
        f"schema: found 'process-memory-snapshot/{version}', expected process-memory-snapshot/1; "
        "another version of this package wrote it"
    )


@pytest.mark.parametrize("value", [{}, [], 1, None, "text", {"leak": True}])
def test_other_json_is_no_snapshot(value: Any) -> None:
    assert "this is no snapshot" in refusal(value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"hello", "found no JSON"),
        (to_json(snapshot()).encode()[:900], "line 1, column 901: found JSON that is damaged"),
        (b"\x80\x81", "found binary data"),
        (b"[" * 100_000, "found JSON"),
        (b"1" * 10_000, "found JSON beyond all bounds"),
        (b" " * 2**20 + b"{}", "found more than 1048576 bytes"),
    ],
    ids=["nothing", "blank", "words", "cut off", "binary", "brackets", "digits", "large"],
)
def test_file_that_is_no_snapshot_is_refused_with_its_reason(content: bytes, message: str) -> None:
    assert message in refusal(content)


@pytest.mark.parametrize("name", ["missing.json", ".", "a\0b"])
def test_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SnapshotError, match="expected a file to read"):
        read(f"{tmp_path}/{name}")


# --- the schema ------------------------------------------------------------------------------


def constraints(value: Any) -> Iterator[str]:
    """Yield the keywords of a schema and of all in it."""
    for keyword, inner in value.items():
        yield keyword
        if keyword in {"properties", "$defs"}:
            for each in inner.values():
                yield from constraints(each)
        elif keyword == "items":
            yield from constraints(inner)
        elif keyword == "anyOf":
            for each in inner:
                yield from constraints(each)


def test_schema_uses_no_keyword_that_is_not_checked() -> None:
    assert set(constraints(schema())) <= KEYWORDS | DESCRIPTIONS


def test_every_field_of_the_schema_is_required() -> None:
    def check_all(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("properties"), dict) and "required" in value:
                assert list(value["properties"]) == value["required"]
            for each in value.values():
                check_all(each)

    check_all(schema())


def is_valid(value: Any) -> bool:
    try:
        check(value, schema())
    except Mismatch:
        return False
    return True


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container in a document with each of its keys."""
    keys: Any = value if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], (dict, list)):
            found += places(value[key])
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents(), st.data())
def test_a_snapshot_with_one_mistake_is_judged_as_the_library_for_schemas_does(
    document: dict[str, Any], data: st.DataObject
) -> None:
    container, key = data.draw(st.sampled_from(places(document)))
    container[key] = data.draw(ANYTHING.filter(lambda value: not _has_odd_numbers(value)))
    library = jsonschema.Draft202012Validator(schema())
    assert is_valid(document) == library.is_valid(document)


def _has_odd_numbers(value: Any) -> bool:
    # JSON has neither of them; the library takes them for numbers.
    if isinstance(value, float):
        return not math.isfinite(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_has_odd_numbers(each) for each in inner)


# --- never raises ----------------------------------------------------------------------------


@given(ANYTHING)
def test_any_json_is_shown_or_refused(value: Any) -> None:
    shown_or_refused(value)


@given(st.dictionaries(st.sampled_from(list(snapshot())), ANYTHING))
def test_any_json_that_says_it_is_a_snapshot_is_shown_or_refused(value: dict[str, Any]) -> None:
    shown_or_refused({**value, "schema": snapshot()["schema"]})


@given(st.binary())
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(SnapshotError):
        parse(content)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents(), st.data())
def test_a_snapshot_with_one_mistake_is_shown_or_refused(
    document: dict[str, Any], data: st.DataObject
) -> None:
    container, key = data.draw(st.sampled_from(places(document)))
    container[key] = data.draw(ANYTHING)
    shown_or_refused(document)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents(), documents())
def test_any_two_snapshots_are_compared_and_printed_harmlessly(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    for shown in (diff.sections(first, second), show.sections(first)):
        assert all(line.isprintable() for line in layout.plain(shown).split("\n"))


@pytest.mark.parametrize("number", [10**400, 10**300, -(10**300), 1e308, -1e308, 2**63 - 1])
def test_any_large_number_anywhere_is_shown_or_refused(number: float) -> None:
    small = snapshot(history=history(2))
    for index in range(len(places(small))):
        document = deepcopy(small)
        container, key = places(document)[index]
        container[key] = number
        shown_or_refused(document)


def shown_or_refused(value: Any) -> None:
    try:
        document = parse(json.dumps(value).encode())
    except SnapshotError as error:
        refused = str(error)
    else:
        refused = ""
        assert layout.plain(show.sections(document))
        assert layout.plain(diff.sections(document, document))
    assert refused.isprintable()
