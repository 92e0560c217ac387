"""What is told of a verdict, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)

from opentelemetry.instrumentation.memory._events import EVENT_NAME, LeakEvents
from opentelemetry.instrumentation.memory._judge import Judge
from opentelemetry.instrumentation.memory.evidence import (
    Advice,
    Conclusion,
    ContainerGrowth,
    Evidence,
    SiteGrowth,
)
from opentelemetry.instrumentation.memory.model import (
    Growth,
    LeakState,
    LeakVerdict,
    MemorySample,
    Partition,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 2**20


@pytest.fixture
def told() -> Iterator[tuple[LeakEvents, InMemoryLogRecordExporter]]:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    yield LeakEvents(provider), exporter
    provider.shutdown()


EVIDENCE = Evidence(
    "native_heap",
    None,
    60.0,
    Conclusion("container", "shop.cache._sessions", 0.9, "shop.cache._sessions (dict) grew"),
    containers=(ContainerGrowth("shop.cache._sessions", "dict", 12, 31, (), 900),),
    sites=tuple(SiteGrowth(f"shop/views.py:{n}", (), 9, 1, 4.0) for n in range(9)),
    advice=(Advice("bound the cache"),),
)


def states(exporter: InMemoryLogRecordExporter) -> list[object]:
    return [
        (log.log_record.attributes or {})["process.memory.leak.state"]
        for log in exporter.get_finished_logs()
    ]


def verdict(state: LeakState) -> LeakVerdict:
    return LeakVerdict(state=state, risk=0.5, reason="because")


def test_event_carries_state_risk_growth_segment_time_left_and_reason(
    told: tuple[LeakEvents, InMemoryLogRecordExporter],
) -> None:
    events, exporter = told
    events.notice(
        LeakVerdict("confirmed", 0.93, "native_heap", (Growth("native_heap", 5.5),), 60.0, "why")
    )
    (log,) = exporter.get_finished_logs()
    record = log.log_record
    assert record.event_name == EVENT_NAME == "process.memory.leak"
    assert record.severity_number is SeverityNumber.ERROR
    assert record.body == "why"
    assert dict(record.attributes or {}) == {
        "process.memory.leak.state": "confirmed",
        "process.memory.leak.risk": 0.93,
        "process.memory.leak.reason": "why",
        "process.memory.segment": "native_heap",
        "process.memory.leak.growth": 5.5,
        "process.memory.leak.time_to_exhaustion": 60.0,
    }


def test_same_state_is_told_once(told: tuple[LeakEvents, InMemoryLogRecordExporter]) -> None:
    events, exporter = told
    for state in ("suspected", "suspected", "confirmed", "confirmed", "recovered", "quiet"):
        events.notice(verdict(state))  # type: ignore[arg-type]
    assert states(exporter) == ["suspected", "confirmed", "recovered"]


def test_suspicion_that_comes_to_nothing_ends_as_recovered(
    told: tuple[LeakEvents, InMemoryLogRecordExporter],
) -> None:
    events, exporter = told
    for state in ("quiet", "suspected", "quiet"):
        events.notice(verdict(state))  # type: ignore[arg-type]
    assert states(exporter) == ["suspected", "recovered"]


def test_warm_up_and_quiet_are_no_news(told: tuple[LeakEvents, InMemoryLogRecordExporter]) -> None:
    events, exporter = told
    for state in ("warming_up", "quiet"):
        events.notice(verdict(state))  # type: ignore[arg-type]
    assert states(exporter) == []


def leaking(second: int) -> MemorySample:
    live = 40 * MIB + second * MIB // 10
    return MemorySample(
        float(second), 1, live + 20 * MIB, partition=Partition(live, 10 * MIB, MIB, 9 * MIB)
    )


def test_leak_is_told_when_it_is_suspected_and_when_it_is_confirmed(
    told: tuple[LeakEvents, InMemoryLogRecordExporter],
) -> None:
    events, exporter = told
    judge = Judge(0.0, events.notice)
    for second in range(1000):
        judge.consider(leaking(second))
    assert states(exporter) == ["suspected", "confirmed"]


def test_event_that_cannot_be_told_does_not_stop_the_judge(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: LeakVerdict) -> None:
        raise OSError("no collector")

    judge = Judge(0.0, fail)
    for second in range(1000):
        judge.consider(leaking(second))
    assert judge.verdict is not None
    assert judge.verdict.state == "confirmed"
    assert "could not be told" in caplog.text


def test_evidence_follows_in_an_event_of_its_own(
    told: tuple[LeakEvents, InMemoryLogRecordExporter],
) -> None:
    events, exporter = told
    events.notice(verdict("suspected"))
    events.add(verdict("suspected"), EVIDENCE)
    _, log = exporter.get_finished_logs()
    assert log.log_record.body == "because; shop.cache._sessions (dict) grew"
    attributes = dict(log.log_record.attributes or {})
    assert attributes["process.memory.leak.state"] == "suspected"
    assert attributes["process.memory.leak.culprit"] == "shop.cache._sessions"
    assert attributes["process.memory.leak.culprit.kind"] == "container"
    assert attributes["process.memory.leak.culprit.confidence"] == 0.9
    assert attributes["process.memory.leak.containers"] == (
        "shop.cache._sessions (dict): 12 -> 31 entries",
    )
    assert attributes["process.memory.leak.advice"] == ("bound the cache",)


def test_event_names_five_of_each_kind_at_most(
    told: tuple[LeakEvents, InMemoryLogRecordExporter],
) -> None:
    events, exporter = told
    events.notice(verdict("confirmed"))
    events.add(verdict("confirmed"), EVIDENCE)
    attributes = exporter.get_finished_logs()[-1].log_record.attributes or {}
    sites = attributes["process.memory.leak.sites"]
    assert isinstance(sites, tuple)
    assert len(sites) == 5


def test_confirmation_repeats_what_was_found_at_the_suspicion(
    told: tuple[LeakEvents, InMemoryLogRecordExporter],
) -> None:
    events, exporter = told
    events.notice(verdict("suspected"))
    events.add(verdict("suspected"), EVIDENCE)
    events.notice(verdict("confirmed"))
    attributes = exporter.get_finished_logs()[-1].log_record.attributes or {}
    assert attributes["process.memory.leak.culprit"] == "shop.cache._sessions"


def test_same_evidence_is_told_once(told: tuple[LeakEvents, InMemoryLogRecordExporter]) -> None:
    events, exporter = told
    events.notice(verdict("suspected"))
    events.add(verdict("suspected"), EVIDENCE)
    events.add(verdict("suspected"), EVIDENCE)
    assert states(exporter) == ["suspected", "suspected"]


def test_evidence_without_an_alarm_is_no_event(
    told: tuple[LeakEvents, InMemoryLogRecordExporter],
) -> None:
    events, exporter = told
    events.add(verdict("quiet"), EVIDENCE)
    assert not exporter.get_finished_logs()


def test_next_alarm_begins_without_the_evidence_of_the_last(
    told: tuple[LeakEvents, InMemoryLogRecordExporter],
) -> None:
    events, exporter = told
    events.notice(verdict("confirmed"))
    events.add(verdict("confirmed"), EVIDENCE)
    events.notice(verdict("recovered"))
    events.notice(verdict("suspected"))
    attributes = exporter.get_finished_logs()[-1].log_record.attributes or {}
    assert "process.memory.leak.culprit" not in attributes
