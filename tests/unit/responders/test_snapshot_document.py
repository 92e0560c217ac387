"""Whatever was found, the document is valid, bounded and harmless."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.snapshots import (
    EVIDENCE,
    NOW,
    NOWHERE,
    VERDICT,
    closed,
    documents,
    history,
    largest,
    sample,
    snapshot,
    texts,
)

from opentelemetry.instrumentation.memory._attribution.advice import advice
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._commands.snapshot.reading import schema
from opentelemetry.instrumentation.memory.evidence import (
    Conclusion,
    Cost,
    Evidence,
    MappingGrowth,
    SiteGrowth,
    TypeGrowth,
)
from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample
from opentelemetry.instrumentation.memory.responders.snapshot_document import (
    HISTORY_POINTS,
    MAXIMUM_BYTES,
    SENTENCE_BYTES,
    TEXT_BYTES,
    Moment,
    document,
    thinned,
    to_json,
)

VALID = jsonschema.Draft202012Validator(closed(schema()))
# 4 bytes each in UTF-8, 2 in JSON, 1 in both.
WIDE, QUOTED, PLAIN = "\U0001f35e", '"', "x"


def texts_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in texts_in(each)]


def evidence_with(sentence: str) -> Evidence:
    return Evidence(None, None, 1.0, Conclusion("unsure", None, 0.0, sentence))


def sentence_of(written: dict[str, Any]) -> str:
    return str(written["evidence"]["conclusion"]["sentence"])


def test_schema_is_a_json_schema_of_2020_12() -> None:
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema())


def test_a_real_leak_is_a_valid_document() -> None:
    VALID.validate(snapshot())


@pytest.mark.parametrize("reason", ["confirmed", "fragmentation", "near_limit", "signal", "api"])
def test_every_reason_is_in_the_schema(reason: Any) -> None:
    VALID.validate(snapshot(reason))


def test_nothing_known_yet_is_a_valid_document() -> None:
    written = document(
        "api", sample=None, verdict=None, history=(), evidence=None, identity=NOWHERE, now=NOW
    )
    VALID.validate(written)
    assert written["service"] == {"name": None, "version": None, "instance_id": None}


def test_without_evidence_it_says_why() -> None:
    written = snapshot(evidence=None, why_no_evidence="evidence is switched off")
    assert written["why_no_evidence"] == "evidence is switched off"
    assert snapshot()["why_no_evidence"] is None


def test_time_is_utc_to_the_millisecond() -> None:
    assert snapshot()["written_at"] == "2025-11-24T18:55:05.250Z"


def test_samples_tell_how_long_ago_they_were() -> None:
    written = snapshot()
    assert written["sample"]["seconds_ago"] == 0
    assert written["history"][0]["seconds_ago"] == 1990


def test_every_field_of_evidence_and_verdict_is_in_the_document() -> None:
    written = snapshot()
    assert set(written["evidence"]) == {each.name for each in fields(EVIDENCE)}
    assert set(written["verdict"]) == {each.name for each in fields(VERDICT)}
    for name, rows in ((each.name, getattr(EVIDENCE, each.name)) for each in fields(EVIDENCE)):
        if isinstance(rows, tuple) and is_dataclass(rows[0]):
            assert set(written["evidence"][name][0]) == {each.name for each in fields(rows[0])}


def test_limit_and_what_is_left_of_it_are_told() -> None:
    written = snapshot(sample=sample())["sample"]
    assert written["headroom_bytes"] == (512 - 171) * 2**20
    assert written["limit_utilization"] == pytest.approx(171 / 512, abs=1e-6)


def test_history_keeps_its_ends_and_its_order() -> None:
    samples = history(512)
    kept = thinned(samples)
    assert len(kept) == HISTORY_POINTS
    assert (kept[0], kept[-1]) == (samples[0], samples[-1])
    assert kept == sorted(kept, key=lambda each: each.taken_at_seconds)


def test_short_history_is_kept_whole() -> None:
    assert thinned(history(7)) == list(history(7))


@pytest.mark.parametrize("bad", ["\x00", "\n", "\x1b[31m", "\x7f", "\u202e", "\u2028", "\ud800"])
def test_what_a_terminal_or_viewer_obeys_is_removed(bad: str) -> None:
    written = snapshot(evidence=evidence_with(f"a{bad}b"))
    assert sentence_of(written).isprintable()
    assert sentence_of(written)[0] + sentence_of(written)[-1] == "ab"


@pytest.mark.parametrize("character", [WIDE, QUOTED, PLAIN, "é"])
def test_long_text_is_cut_and_says_so(character: str) -> None:
    text = sentence_of(snapshot(evidence=evidence_with(character * 1000)))
    assert text == character * (len(text) - 1) + "…"
    assert SENTENCE_BYTES - 4 < len(text.encode()) <= SENTENCE_BYTES


def test_text_that_fits_is_not_cut() -> None:
    told = "x" * SENTENCE_BYTES
    assert sentence_of(snapshot(evidence=evidence_with(told))) == told


def test_name_is_cut_earlier_than_a_sentence() -> None:
    evidence = replace(evidence_with("enough"), types=(TypeGrowth("x" * 1000, 1, 2, 3),))
    (row,) = snapshot(evidence=evidence)["evidence"]["types"]
    assert len(row["type_name"].encode()) == TEXT_BYTES


def test_long_advice_is_there_to_its_end() -> None:
    function = "absl::container_internal::raw_hash_set::resize (raw_hash_set.h:2743)"
    looked = replace(
        evidence_with("enough"),
        costs=(Cost("containers", 1.0, 0.01), Cost("sites", 1.0, 0.01)),
        mappings=(MappingGrowth("malloc arena", 1, 3, 0, 10 * 2**20),),
        sites=(SiteGrowth(function, (), 2**20, 9, 2**19, is_native=True),),
    )
    pieces = advice(Case("native_heap", 1e6, MemorySample(0.0, 1)), looked, {"containers": 9.0})
    assert max(len(each.text) for each in pieces) > TEXT_BYTES
    written = snapshot(evidence=replace(looked, advice=pieces))
    assert [row["text"] for row in written["evidence"]["advice"]] == [each.text for each in pieces]


def test_text_of_a_million_characters_costs_no_more() -> None:
    hidden = "\x00" * 10**6 + "secret"
    assert "secret" not in to_json(snapshot(evidence=evidence_with(hidden)))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_number_that_json_does_not_know_is_unknown(number: float) -> None:
    written = snapshot(verdict=LeakVerdict(risk=number))
    assert written["verdict"]["risk"] is None


def test_number_that_no_machine_has_is_cut() -> None:
    written = snapshot(sample=MemorySample(0.0, 1, resident_bytes=10**400))
    assert written["sample"]["resident_bytes"] == 2**63 - 1
    VALID.validate(written)


@pytest.mark.parametrize("epoch_seconds", [-1e12, 1e12])
def test_clock_that_is_far_off_costs_no_snapshot(epoch_seconds: float) -> None:
    VALID.validate(snapshot(now=Moment(epoch_seconds, 0.0)))


@pytest.mark.parametrize("character", [WIDE, QUOTED, PLAIN])
def test_largest_document_is_bounded(character: str) -> None:
    size = 2**62
    most = MemorySample(0.0, size, size, size, sample().partition, size, size, size)
    written = snapshot(evidence=largest(character * 1000), history=[most] * 512)
    VALID.validate(written)
    assert len(to_json(written).encode()) < MAXIMUM_BYTES


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_every_document_is_valid_and_bounded(written: dict[str, Any]) -> None:
    VALID.validate(written)
    assert len(to_json(written).encode()) < MAXIMUM_BYTES


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_every_document_comes_back_as_it_was(written: dict[str, Any]) -> None:
    assert json.loads(to_json(written)) == written


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_no_text_is_long_or_unprintable(written: dict[str, Any]) -> None:
    assert all(
        text.isprintable() and len(text.encode()) <= SENTENCE_BYTES for text in texts_in(written)
    )


@settings(deadline=None)
@given(st.lists(texts(), min_size=1))
def test_document_is_one_line(names: list[str]) -> None:
    written = to_json(snapshot(evidence=evidence_with("".join(names))))
    assert written.splitlines() == [written.rstrip("\n")]
