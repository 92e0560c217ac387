"""A burst of tracemalloc in this very process, with an application that lives between its steps.

Time is told, allocations are real: so the rate of a leak is known exactly.
"""

from __future__ import annotations

import copy
import gc
import importlib.util
import sys
import tracemalloc
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from tests.fakes import FakeClock

from opentelemetry.instrumentation.memory._attribution import sites_tracing
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._attribution.sites import (
    COOLDOWN_SECONDS,
    SiteInquiry,
    end_in_child,
)
from opentelemetry.instrumentation.memory.model import MemorySample, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from opentelemetry.instrumentation.memory.evidence import Findings

SHARE = 0.01
PACE = 100_000.0
BLOCK_BYTES = 1000
TURN_SECONDS = 0.001
REAL_START = tracemalloc.start


class Application:
    """Lives for a stretch of time: keeps, or holds for a moment; uses a share of a core."""

    def __init__(self, clock: FakeClock, share: float = 0.1) -> None:
        self.clock = clock
        self.share = share
        self.traced_share = share
        self.kept: list[object] = []
        self.in_use: list[bytes] = []
        self.due_bytes = 0.0
        self.starts = 0
        self._was_tracing = False

    def live(self, seconds: float) -> None:
        is_tracing = tracemalloc.is_tracing()
        self.starts += is_tracing and not self._was_tracing
        self._was_tracing = is_tracing
        self.clock.wait(seconds, seconds * (self.traced_share if is_tracing else self.share))
        if is_tracing:
            self.allocate(seconds)

    def allocate(self, seconds: float) -> None:
        self.due_bytes += PACE * seconds
        while self.due_bytes >= BLOCK_BYTES:
            self.due_bytes -= BLOCK_BYTES
            self.kept.append(self.leak())
            self.churn()

    def leak(self) -> object:
        return bytes(BLOCK_BYTES - 33)

    def churn(self) -> None:
        self.in_use = [bytes(3000) for _ in range(10)]


def case(segment: Segment | None = "python_heap", pace: float = PACE) -> Case:
    return Case(segment, pace, MemorySample(0.0, 7))


def line_of(function: Callable[..., object]) -> str:
    code = function.__code__  # type: ignore[attr-defined]
    return f"test_sites.py:{code.co_firstlineno + 1}"


def run(inquiry: SiteInquiry, application: Application, about: Case | None = None) -> Findings:
    return finish(inquiry.gather(about or case()), application)


def finish(steps: Generator[float, None, Findings], application: Application) -> Findings:
    try:
        while True:
            application.live(max(next(steps), TURN_SECONDS))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def run_until_burst(steps: Generator[float, None, Findings], application: Application) -> None:
    """Go on until tracing is on for the second time: the first was the trial."""
    while application.starts < 2:
        application.live(max(next(steps), TURN_SECONDS))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def application(clock: FakeClock) -> Application:
    return Application(clock)


@pytest.fixture
def inquiry(clock: FakeClock) -> SiteInquiry:
    return SiteInquiry(clock, 1, SHARE, uses_memray=False)


@pytest.fixture(autouse=True)
def _tracing_is_off_again() -> Iterator[None]:
    assert not tracemalloc.is_tracing()
    yield
    was_left_on = tracemalloc.is_tracing()
    tracemalloc.stop()
    assert tracemalloc.start is REAL_START
    assert not was_left_on


def test_leaking_line_is_named_first_with_its_rate(
    inquiry: SiteInquiry, application: Application
) -> None:
    findings = run(inquiry, application)
    assert findings.sites[0].site.endswith(line_of(Application.leak))
    assert findings.sites[0].bytes_per_second == pytest.approx(PACE, rel=0.05)
    assert findings.skipped == ()


def test_churning_line_is_not_named(inquiry: SiteInquiry, application: Application) -> None:
    told = [site.site for site in run(inquiry, application).sites]
    assert not [site for site in told if site.endswith(line_of(Application.churn))]


@pytest.mark.parametrize("steps_until_closed", [1, 2, 3, 4, 50, 150, 203, 205, 240, 270])
def test_closing_at_any_step_leaves_tracing_off(
    inquiry: SiteInquiry, application: Application, steps_until_closed: int
) -> None:
    steps = inquiry.gather(case())
    for _ in range(steps_until_closed):
        application.live(max(next(steps), TURN_SECONDS))
    steps.close()
    assert not tracemalloc.is_tracing()


def test_failure_amid_a_burst_leaves_tracing_off(
    inquiry: SiteInquiry, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise MemoryError

    monkeypatch.setattr(tracemalloc, "_get_traces", fail)
    with pytest.raises(MemoryError):
        run(inquiry, application)
    assert not tracemalloc.is_tracing()


def test_second_burst_waits_for_the_cooldown(
    inquiry: SiteInquiry, application: Application, clock: FakeClock
) -> None:
    run(inquiry, application)
    starts = application.starts
    (skipped,) = run(inquiry, application).skipped
    assert skipped.kind == "sites"
    assert "last watched" in skipped.why
    assert application.starts == starts
    clock.wait(COOLDOWN_SECONDS)
    assert run(inquiry, application).sites


def test_applications_own_tracing_is_used_and_goes_on(
    inquiry: SiteInquiry, application: Application
) -> None:
    tracemalloc.start(3)
    application.kept = [application.leak() for _ in range(1000)]
    try:
        findings = run(inquiry, application)
        assert tracemalloc.is_tracing()
        assert tracemalloc.get_traceback_limit() == 3
    finally:
        tracemalloc.stop()
    assert findings.sites[0].site.endswith(line_of(Application.leak))
    assert findings.sites[0].bytes_per_second == pytest.approx(PACE, rel=0.05)
    assert findings.slowdown_cpu_seconds == 0.0


def test_too_many_traces_of_the_application_are_not_looked_at(
    inquiry: SiteInquiry, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sites_tracing, "_TOO_MANY_TRACES", 100)
    tracemalloc.start()
    application.kept = [application.leak() for _ in range(1000)]
    try:
        (skipped,) = run(inquiry, application).skipped
    finally:
        tracemalloc.stop()
    assert "stall" in skipped.why


def test_application_that_starts_tracing_amid_a_burst_gets_it(
    inquiry: SiteInquiry, application: Application
) -> None:
    steps = inquiry.gather(case())
    run_until_burst(steps, application)
    tracemalloc.start(5)
    try:
        assert tracemalloc.get_traceback_limit() == 5
        (skipped,) = finish(steps, application).skipped
        assert tracemalloc.is_tracing()
        assert "taken over" in skipped.why
    finally:
        tracemalloc.stop()


def test_application_that_stops_tracing_amid_a_burst_ends_it(
    inquiry: SiteInquiry, application: Application
) -> None:
    steps = inquiry.gather(case())
    run_until_burst(steps, application)
    tracemalloc.stop()
    (skipped,) = finish(steps, application).skipped
    assert "taken over" in skipped.why


def test_child_can_end_what_it_inherited(inquiry: SiteInquiry, application: Application) -> None:
    steps = inquiry.gather(case())
    run_until_burst(steps, application)
    end_in_child()
    assert not tracemalloc.is_tracing()
    assert tracemalloc.start is REAL_START
    steps.close()


def test_child_leaves_alone_what_the_application_has_started() -> None:
    tracemalloc.start()
    end_in_child()
    is_tracing = tracemalloc.is_tracing()
    tracemalloc.stop()
    assert is_tracing


@pytest.mark.parametrize(("share", "traced_share"), [(0.02, 0.02), (0.3, 0.6), (1.0, 1.0)])
def test_loss_stays_within_the_budget(
    inquiry: SiteInquiry,
    application: Application,
    clock: FakeClock,
    share: float,
    traced_share: float,
) -> None:
    application.share, application.traced_share = share, traced_share
    began = clock.now()
    findings = run(inquiry, application)
    assert findings.sites
    assert findings.slowdown_cpu_seconds <= SHARE * (clock.now() - began) * 1.1


def test_own_work_is_within_the_same_budget(
    inquiry: SiteInquiry, application: Application, clock: FakeClock
) -> None:
    began, own_seconds = clock.now(), 2.0
    steps = inquiry.gather(case())
    application.live(max(next(steps), TURN_SECONDS))
    clock.work(own_seconds)
    findings = finish(steps, application)
    assert findings.sites
    spent = own_seconds + findings.slowdown_cpu_seconds
    assert spent <= SHARE * (clock.now() - began) * 1.1


def test_extra_cpu_time_while_watched_is_told_as_lost(
    inquiry: SiteInquiry, application: Application
) -> None:
    application.share, application.traced_share = 0.3, 0.5
    findings = run(inquiry, application)
    assert findings.seconds is not None
    watched_seconds = findings.seconds * 1.5 + 0.2
    assert findings.slowdown_cpu_seconds == pytest.approx(0.2 * watched_seconds, rel=0.1)


def test_busy_application_gets_a_shorter_burst(clock: FakeClock) -> None:
    idle, busy = Application(clock), Application(clock, share=1.0)
    slow = case(pace=1000.0)
    long = run(SiteInquiry(clock, 1, SHARE, uses_memray=False), idle, slow).seconds
    short = run(SiteInquiry(clock, 1, SHARE, uses_memray=False), busy, slow).seconds
    assert long == pytest.approx(20.0, abs=0.1)
    assert short is not None
    assert short < 2.5


def test_burst_ends_when_it_slows_down_more_than_the_trial_has_shown(
    inquiry: SiteInquiry, application: Application
) -> None:
    steps = inquiry.gather(case())
    run_until_burst(steps, application)
    application.traced_share = 5.0
    findings = finish(steps, application)
    assert "more than the budget" in findings.skipped[0].why
    assert findings.slowdown_cpu_seconds < 1.0


def test_burst_that_the_budget_cannot_pay_is_not_made(clock: FakeClock) -> None:
    busy = Application(clock, share=1.0)
    findings = run(SiteInquiry(clock, 1, 0.001, uses_memray=False), busy)
    assert "too short" in findings.skipped[0].why
    assert busy.starts == 1


def test_burst_ends_before_a_look_gets_too_dear(
    inquiry: SiteInquiry, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sites_tracing, "_MOST_TRACES", (100, 200, 300))
    findings = run(inquiry, application)
    assert findings.sites[0].bytes_per_second == pytest.approx(PACE, rel=0.2)
    assert findings.seconds is not None
    assert findings.seconds < 2.5


class Copying(Application):
    def leak(self) -> object:
        return copy.deepcopy([[1.5], [2.5]])


def test_with_more_frames_the_applications_line_is_named(clock: FakeClock) -> None:
    application = Copying(clock)
    findings = run(SiteInquiry(clock, 8, SHARE, uses_memray=False), application)
    assert findings.sites[0].site.endswith(line_of(Copying.leak))
    assert application.starts == 4


def test_with_one_frame_a_line_of_the_library_is_told_as_it_is(clock: FakeClock) -> None:
    findings = run(SiteInquiry(clock, 1, SHARE, uses_memray=False), Copying(clock))
    assert findings.sites[0].site.startswith("copy.py:")


def test_more_frames_are_kept_only_if_one_does_not_tell(
    clock: FakeClock, application: Application
) -> None:
    run(SiteInquiry(clock, 8, SHARE, uses_memray=False), application)
    assert application.starts == 2


@pytest.mark.parametrize("segment", ["native_heap", "other_anonymous"])
def test_c_allocations_that_are_not_seen_are_pointed_out(
    inquiry: SiteInquiry,
    application: Application,
    segment: Segment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    (advice,) = run(inquiry, application, case(segment, PACE * 10)).advice
    assert "install the extra memray" in advice.text


def test_memray_is_not_advised_where_it_is_installed_and_cannot_be_used(
    inquiry: SiteInquiry, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "greenlet", ModuleType("greenlet"))
    (advice,) = run(inquiry, application, case("native_heap", PACE * 10)).advice
    assert "install" not in advice.text
    assert "greenlet" in advice.text


def test_nothing_is_advised_where_lines_of_python_explain_the_growth(
    inquiry: SiteInquiry, application: Application
) -> None:
    assert run(inquiry, application, case("native_heap")).advice == ()


def test_memory_of_the_looks_is_told(inquiry: SiteInquiry, application: Application) -> None:
    assert 10_000 < run(inquiry, application).memory_bytes < 50 * 2**20


def test_collection_in_the_midst_of_a_look_is_no_pause_of_the_look(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def takes_long(phase: str, _: object) -> None:
        if phase == "start":
            clock.work(1.0)

    def traces_while_a_collection_is_due() -> list[object]:
        gc.callbacks.append(takes_long)
        gc.collect()
        clock.work(0.25)
        return []

    monkeypatch.setattr(tracemalloc, "_get_traces", traces_while_a_collection_is_due)
    traces = sites_tracing.Traces(clock)
    try:
        traces.look()
    finally:
        gc.callbacks.remove(takes_long)
    assert traces.longest_pause_seconds == 0.25


@pytest.mark.parametrize("switch", [gc.enable, gc.disable])
def test_look_leaves_the_garbage_collector_to_the_application(
    switch: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile: list[bool] = []

    def traces_while_the_application_decides() -> list[object]:
        meanwhile.append(gc.isenabled())
        switch()
        return []

    monkeypatch.setattr(tracemalloc, "_get_traces", traces_while_the_application_decides)
    try:
        sites_tracing.Traces(FakeClock()).look()
        assert meanwhile == [True]
        assert gc.isenabled() is (switch is gc.enable)
    finally:
        gc.enable()
