from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from opentelemetry.instrumentation.memory import _investigator
from opentelemetry.instrumentation.memory._investigator import (
    COOLDOWN_SECONDS,
    THREAD_NAME,
    Investigator,
    Occasion,
)
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory.evidence import (
    ContainerGrowth,
    Evidence,
    EvidenceKind,
    Findings,
    RouteGrowth,
    SiteGrowth,
)
from opentelemetry.instrumentation.memory.model import (
    Growth,
    LeakState,
    LeakVerdict,
    MemorySample,
    Segment,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from opentelemetry.instrumentation.memory._attribution.inquiry import Case

PATIENCE_SECONDS = 10.0
ROUTE = RouteGrowth("GET /cart", 1000, 1200.0, 1100.0, 1300.0)
CACHE = ContainerGrowth("shop.cache._pages", "dict", 10, 1010, (), 5 * 2**20)
SITE = SiteGrowth("shop/views.py:42", (), 5 * 2**20, 100, 1000.0)


class GatedInquiry:
    """Finds one line, as soon as it may."""

    kind: EvidenceKind = "sites"
    is_holding = False
    interim: Findings | None = None

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.may_end = threading.Event()
        self.may_end.set()
        self.is_closed = threading.Event()
        self.findings = Findings(sites=(SITE,))

    def gather(self, case: Case) -> Generator[float, None, Findings]:
        self.cases.append(case)
        try:
            while not self.may_end.is_set():
                yield 0.001
        finally:
            self.is_closed.set()
        return self.findings


class Told:
    """What the investigator delivers."""

    def __init__(self) -> None:
        self.news: list[tuple[Evidence, frozenset[Occasion]]] = []
        self.has_news = threading.Event()

    def deliver(self, evidence: Evidence, occasions: frozenset[Occasion]) -> None:
        self.news.append((evidence, occasions))
        self.has_news.set()

    def next(self) -> frozenset[Occasion]:
        assert self.has_news.wait(PATIENCE_SECONDS)
        self.has_news.clear()
        return self.news[-1][1]


@pytest.fixture
def inquiry() -> GatedInquiry:
    return GatedInquiry()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def investigator(inquiry: GatedInquiry, told: Told) -> Iterator[Investigator]:
    investigator = Investigator([inquiry], SystemClock(), 1.0, sample, told.deliver)
    yield investigator
    inquiry.may_end.set()
    investigator.stop(PATIENCE_SECONDS)


def sample(at_seconds: float = 0.0) -> MemorySample:
    return MemorySample(at_seconds, 7)


def verdict(state: LeakState, segment: Segment | None = "python_heap") -> LeakVerdict:
    return LeakVerdict(state, 0.6, segment, (Growth("python_heap", 1000.0),))


def test_quiet_process_is_left_alone(investigator: Investigator, inquiry: GatedInquiry) -> None:
    for state in ("warming_up", "quiet", "recovered"):
        investigator.notice(LeakVerdict(state), sample())  # type: ignore[arg-type]
    assert not investigator.is_under_way()
    assert not inquiry.cases


def test_suspicion_is_looked_into_with_its_segment_and_pace(
    investigator: Investigator, inquiry: GatedInquiry, told: Told
) -> None:
    investigator.notice(verdict("suspected"), sample())
    assert told.next() == {"suspected"}
    assert inquiry.cases[0].segment == "python_heap"
    assert inquiry.cases[0].bytes_per_second == 1000
    assert investigator.evidence is not None
    assert investigator.evidence.sites == (SITE,)


def test_an_end_that_comes_while_an_investigation_is_made_is_an_end(
    investigator: Investigator, inquiry: GatedInquiry, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = _investigator.background

    def end_meanwhile(*arguments: Any) -> Any:
        investigator.stop(PATIENCE_SECONDS)
        return make(*arguments)

    monkeypatch.setattr(_investigator, "background", end_meanwhile)
    investigator.notice(verdict("suspected"), sample())
    assert not investigator.is_under_way()
    assert not inquiry.cases


def test_one_suspicion_is_looked_into_once(
    investigator: Investigator, inquiry: GatedInquiry, told: Told
) -> None:
    for second in range(3):
        investigator.notice(verdict("suspected"), sample(second))
        if second == 0:
            told.next()
    assert len(inquiry.cases) == 1


def test_alarm_that_stays_is_looked_into_again_after_a_rest(
    investigator: Investigator, inquiry: GatedInquiry, told: Told
) -> None:
    investigator.notice(verdict("confirmed"), sample())
    told.next()
    investigator.notice(verdict("confirmed"), sample(COOLDOWN_SECONDS))
    told.next()
    assert len(inquiry.cases) == 2


def test_confirmation_is_told_with_what_the_suspicion_has_found(
    investigator: Investigator, inquiry: GatedInquiry, told: Told
) -> None:
    investigator.notice(verdict("suspected"), sample())
    told.next()
    investigator.notice(verdict("confirmed"), sample(1))
    assert told.next() == {"confirmed"}
    assert len(inquiry.cases) == 1


def test_confirmation_during_an_investigation_is_answered_by_it(
    investigator: Investigator, inquiry: GatedInquiry, told: Told
) -> None:
    inquiry.may_end.clear()
    investigator.notice(verdict("suspected"), sample())
    investigator.notice(verdict("confirmed"), sample(1))
    inquiry.may_end.set()
    assert told.next() == {"suspected", "confirmed"}
    assert len(inquiry.cases) == 1


def test_confirmation_is_looked_into_once_more_when_the_suspicion_had_no_answer(
    investigator: Investigator, inquiry: GatedInquiry, told: Told
) -> None:
    inquiry.findings = Findings()
    investigator.notice(verdict("suspected"), sample())
    told.next()
    investigator.notice(verdict("confirmed"), sample(1))
    assert told.next() == {"confirmed"}
    assert len(inquiry.cases) == 2


def test_answer_is_not_kept_back_for_the_slowest_kind(inquiry: GatedInquiry, told: Told) -> None:
    routes = GatedInquiry()
    routes.kind, routes.findings = "routes", Findings(routes=(ROUTE,))
    routes.may_end.clear()
    investigator = Investigator([inquiry, routes], SystemClock(), 1.0, sample, told.deliver)
    investigator.notice(verdict("confirmed"), sample())
    assert told.next() == {"confirmed"}
    assert investigator.is_under_way()
    assert told.news[-1][0].sites == (SITE,)
    routes.may_end.set()
    assert told.next() == {"confirmed"}
    assert told.news[-1][0].routes == (ROUTE,)
    investigator.stop(PATIENCE_SECONDS)


def test_route_is_told_as_soon_as_it_is_certain(inquiry: GatedInquiry, told: Told) -> None:
    routes = GatedInquiry()
    routes.kind, routes.findings = "routes", Findings(routes=(ROUTE,))
    routes.may_end.clear()
    investigator = Investigator([inquiry, routes], SystemClock(), 1.0, sample, told.deliver)
    investigator.notice(verdict("confirmed"), sample())
    told.next()
    routes.interim = Findings(routes=(ROUTE,))
    assert told.next() == {"confirmed"}
    assert told.news[-1][0].routes == (ROUTE,)
    assert investigator.is_under_way()
    routes.may_end.set()
    assert routes.is_closed.wait(PATIENCE_SECONDS)
    investigator.stop(PATIENCE_SECONDS)
    assert len(told.news) == 2


def test_end_is_not_told_again_where_the_slowest_kind_added_nothing(
    inquiry: GatedInquiry, told: Told
) -> None:
    routes = GatedInquiry()
    routes.kind, routes.findings = "routes", Findings()
    routes.may_end.clear()
    investigator = Investigator([inquiry, routes], SystemClock(), 1.0, sample, told.deliver)
    investigator.notice(verdict("confirmed"), sample())
    told.next()
    routes.may_end.set()
    assert routes.is_closed.wait(PATIENCE_SECONDS)
    investigator.stop(PATIENCE_SECONDS)
    assert len(told.news) == 1


def test_fragmentation_is_looked_into_without_an_alarm(
    investigator: Investigator, inquiry: GatedInquiry, told: Told
) -> None:
    investigator.notice(verdict("quiet", "retained"), sample())
    assert told.next() == {"fragmentation"}
    # Sites are of no use for it.
    assert not inquiry.cases


def test_request_is_answered_whatever_the_risk(
    investigator: Investigator, inquiry: GatedInquiry, told: Told
) -> None:
    investigator.request("signal")
    assert not inquiry.cases
    investigator.notice(verdict("quiet", None), sample())
    assert told.next() == {"signal"}
    assert inquiry.cases[0].segment is None


def test_verdicts_call_for_nothing_where_evidence_is_switched_off(
    investigator: Investigator, inquiry: GatedInquiry
) -> None:
    investigator.notice(verdict("confirmed"), sample(), is_automatic=False)
    assert not investigator.is_under_way()
    assert not inquiry.cases


def test_investigation_tells_while_it_distorts_the_figures(
    investigator: Investigator, inquiry: GatedInquiry, told: Told
) -> None:
    inquiry.may_end.clear()
    inquiry.is_holding = True
    assert not investigator.is_holding
    investigator.notice(verdict("suspected"), sample())
    while not inquiry.cases:
        assert investigator.is_under_way()
    assert investigator.is_holding
    inquiry.may_end.set()
    told.next()
    investigator.stop(PATIENCE_SECONDS)
    assert not investigator.is_holding


def test_stop_ends_an_investigation_and_closes_what_is_under_way(
    investigator: Investigator, inquiry: GatedInquiry, told: Told
) -> None:
    inquiry.may_end.clear()
    investigator.notice(verdict("suspected"), sample())
    investigator.stop(PATIENCE_SECONDS)
    assert not [each for each in threading.enumerate() if each.name == THREAD_NAME]
    assert not inquiry.cases or inquiry.is_closed.is_set()
    assert not told.news


def test_who_waits_gets_what_is_known_when_an_investigation_is_ended(
    inquiry: GatedInquiry, told: Told
) -> None:
    containers = GatedInquiry()
    containers.kind, containers.findings = "containers", Findings(containers=(CACHE,))
    inquiry.may_end.clear()
    investigator = Investigator([containers, inquiry], SystemClock(), 1.0, sample, told.deliver)
    investigator.notice(verdict("confirmed"), sample())
    assert told.next() == set()
    investigator.stop(PATIENCE_SECONDS)
    assert told.next() == {"confirmed"}
    assert told.news[-1][0].containers == (CACHE,)


def test_nothing_begins_after_the_end(investigator: Investigator, inquiry: GatedInquiry) -> None:
    investigator.stop(PATIENCE_SECONDS)
    investigator.notice(verdict("confirmed"), sample())
    assert not investigator.is_under_way()
    assert not inquiry.cases


def test_failure_to_tell_ends_nothing_but_the_telling(
    inquiry: GatedInquiry, caplog: pytest.LogCaptureFixture
) -> None:
    has_failed = threading.Event()

    def fail(evidence: Evidence, occasions: frozenset[Occasion]) -> None:
        del evidence, occasions
        has_failed.set()
        raise RuntimeError

    investigator = Investigator([inquiry], SystemClock(), 1.0, sample, fail)
    investigator.notice(verdict("suspected"), sample())
    assert has_failed.wait(PATIENCE_SECONDS)
    investigator.stop(PATIENCE_SECONDS)
    assert "could not be told" in caplog.text


def test_cpu_time_of_an_investigation_is_counted(
    investigator: Investigator, inquiry: GatedInquiry, told: Told
) -> None:
    inquiry.may_end.clear()
    investigator.notice(verdict("suspected"), sample())
    while not investigator.cpu_seconds:
        assert investigator.is_under_way()
    inquiry.may_end.set()
    told.next()
    assert investigator.cpu_seconds > 0


def test_request_does_not_take_the_place_of_a_confirmation(
    investigator: Investigator, told: Told
) -> None:
    investigator.request("signal")
    investigator.notice(verdict("confirmed"), sample())
    assert told.next() == {"signal", "confirmed"}
