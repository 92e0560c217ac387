from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import MIB, FakeClock

from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._attribution.investigation import Investigation
from opentelemetry.instrumentation.memory.evidence import (
    EvidenceKind,
    Findings,
    RouteGrowth,
    SiteGrowth,
    Skipped,
)
from opentelemetry.instrumentation.memory.model import MemorySample, Partition, Segment

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

SHARE = 0.01
ROUTE = RouteGrowth("GET /cart", 1000, 1200.0, 1100.0, 1300.0)
SITE = SiteGrowth("shop/views.py:42", (), 5 * MIB, 100, 1000.0)


class ScriptedInquiry:
    """Works for as long as its script says, step by step, and rests between."""

    def __init__(
        self,
        kind: EvidenceKind,
        clock: FakeClock,
        script: Sequence[tuple[float, float]] = ((0.001, 0.0),),
        findings: Findings | None = None,
    ) -> None:
        self.kind = kind
        self.is_holding = False
        self.interim: Findings | None = None
        self.began_at: float | None = None
        self.is_closed = False
        self.step_times: list[float] = []
        self._clock = clock
        self._script = script
        self._findings = Findings() if findings is None else findings

    def gather(self, case: Case) -> Generator[float, None, Findings]:
        self.began_at = self._clock.now()
        assert case.sample.pid == 7
        try:
            for work_seconds, rest_seconds in self._script:
                self.step_times.append(self._clock.now())
                self._clock.work(work_seconds)
                yield rest_seconds
        finally:
            self.is_closed = True
        return self._findings


class FailingInquiry:
    kind: EvidenceKind = "containers"
    is_holding = False
    interim: Findings | None = None

    def gather(self, case: Case) -> Generator[float, None, Findings]:
        del case
        yield 0.0
        raise KeyError("a customer's name")


def sample(python_heap_bytes: int = 0) -> MemorySample:
    return MemorySample(1000.0, 7, partition=Partition(python_heap_bytes=python_heap_bytes))


def case(segment: Segment | None = "native_heap") -> Case:
    return Case(segment, 1000.0, sample())


def run(investigation: Investigation, clock: FakeClock) -> None:
    for _ in range(10_000):
        wait_seconds = investigation.step()
        if wait_seconds is None:
            return
        clock.wait(wait_seconds)
    raise AssertionError("the investigation does not end")


def test_every_kind_that_fits_the_segment_is_asked_and_its_findings_are_kept() -> None:
    clock = FakeClock()
    inquiries = [
        ScriptedInquiry("containers", clock),
        ScriptedInquiry("sites", clock, findings=Findings(sites=(SITE,))),
    ]
    investigation = Investigation(inquiries, case(), clock, SHARE, sample)
    run(investigation, clock)
    assert investigation.evidence is not None
    assert investigation.evidence.sites == (SITE,)
    assert [cost.kind for cost in investigation.evidence.costs] == ["containers", "sites"]


def test_what_is_certain_before_an_inquiry_ends_is_told_meanwhile() -> None:
    clock = FakeClock()
    routes = ScriptedInquiry("routes", clock, [(0.001, 20.0)] * 3)
    investigation = Investigation([routes], case(), clock, SHARE, sample)
    investigation.step()
    assert investigation.interim is None
    routes.interim = Findings(routes=(ROUTE,), seconds=60.0)
    clock.wait(20.0)
    investigation.step()
    assert investigation.interim is not None
    assert investigation.interim.routes == (ROUTE,)
    first = investigation.interim
    clock.wait(20.0)
    investigation.step()
    assert investigation.interim is first
    run(investigation, clock)
    # What the inquiry says at its end takes the place of what it has said before.
    assert investigation.evidence is not None
    assert investigation.evidence.routes == ()


def test_free_memory_is_not_searched_for_objects() -> None:
    clock = FakeClock()
    census = ScriptedInquiry("containers", clock)
    allocator = ScriptedInquiry("allocator", clock)
    run(Investigation([census, allocator], case("retained"), clock, SHARE, sample), clock)
    assert census.began_at is None
    assert allocator.began_at is not None


def test_allocations_are_watched_when_nothing_else_is_measured_any_more() -> None:
    clock = FakeClock()
    census = ScriptedInquiry("containers", clock, [(0.01, 30.0), (0.01, 0.0)])
    sites = ScriptedInquiry("sites", clock)
    run(Investigation([sites, census], case(), clock, SHARE, sample), clock)
    assert sites.began_at is not None
    assert sites.began_at >= census.step_times[-1]


def test_allocations_are_watched_while_requests_are_still_being_counted() -> None:
    clock = FakeClock()
    routes = ScriptedInquiry("routes", clock, [(0.001, 100.0), (0.001, 100.0)])
    sites = ScriptedInquiry("sites", clock)
    run(Investigation([sites, routes], case(), clock, SHARE, sample), clock)
    assert sites.began_at is not None
    assert sites.began_at < routes.step_times[-1]


def test_kinds_that_wait_do_not_keep_each_other_waiting() -> None:
    clock = FakeClock()
    began_at = clock.now()
    mappings = ScriptedInquiry("mappings", clock, [(0.0001, 60.0), (0.0001, 0.0)])
    census = ScriptedInquiry("containers", clock, [(0.0001, 60.0), (0.0001, 0.0)])
    run(Investigation([mappings, census], case(), clock, SHARE, sample), clock)
    assert clock.now() - began_at < 70


@given(st.lists(st.floats(0.0001, 0.05), min_size=1, max_size=30), st.floats(0.001, 1.0))
def test_work_keeps_to_the_budget(steps: list[float], share: float) -> None:
    clock = FakeClock()
    census = ScriptedInquiry("containers", clock, [(seconds, 1.0) for seconds in steps])
    began_at = clock.now()
    run(Investigation([census], case(), clock, share, sample), clock)
    # The rest after the last step is nobody's business any more.
    spent = sum(steps[:-1])
    assert spent <= share * (clock.now() - began_at) * 1.001 + 1e-9


def test_what_must_be_done_in_one_go_is_not_interrupted_by_others() -> None:
    clock = FakeClock()
    census = ScriptedInquiry("containers", clock, [(0.02, 0.0), (0.02, 0.0), (0.02, 5.0)])
    mappings = ScriptedInquiry("mappings", clock, [(0.001, 0.0), (0.001, 0.0)])
    run(Investigation([census, mappings], case(), clock, SHARE, sample), clock)
    first, _, last = census.step_times
    assert last - first < 0.1
    assert not [at for at in mappings.step_times if first < at < last]


def test_an_inquiry_without_end_is_made_to_rest() -> None:
    clock = FakeClock()
    census = ScriptedInquiry("containers", clock, [(0.05, 0.0)] * 100)
    began_at = clock.now()
    run(Investigation([census], case(), clock, 0.1, sample), clock)
    assert clock.now() - began_at > 40


def test_failure_of_one_kind_is_told_by_its_type_alone_and_the_others_go_on() -> None:
    clock = FakeClock()
    sites = ScriptedInquiry("sites", clock, findings=Findings(sites=(SITE,)))
    investigation = Investigation([FailingInquiry(), sites], case(), clock, SHARE, sample)
    run(investigation, clock)
    assert investigation.evidence is not None
    assert investigation.evidence.skipped == (Skipped("containers", "failed with KeyError"),)
    assert investigation.evidence.sites == (SITE,)


def test_close_closes_what_is_under_way() -> None:
    clock = FakeClock()
    census = ScriptedInquiry("containers", clock, [(0.001, 60.0), (0.001, 0.0)])
    investigation = Investigation([census], case(), clock, SHARE, sample)
    investigation.step()
    investigation.close()
    assert census.is_closed
    assert investigation.evidence is None


def test_an_investigation_ends_after_half_an_hour_and_says_what_is_missing() -> None:
    clock = FakeClock()
    census = ScriptedInquiry("containers", clock, [(0.001, 600.0)] * 20)
    investigation = Investigation([census], case(), clock, SHARE, sample)
    run(investigation, clock)
    assert census.is_closed
    assert investigation.evidence is not None
    (skipped,) = investigation.evidence.skipped
    assert skipped.kind == "containers"


def test_growth_of_the_segment_meanwhile_is_told() -> None:
    clock = FakeClock()
    investigation = Investigation([], case("python_heap"), clock, SHARE, lambda: sample(3 * MIB))
    run(investigation, clock)
    assert investigation.evidence is not None
    assert investigation.evidence.segment_bytes_grown == 3 * MIB
