from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import ProxyTracerProvider
from tests.fakes import MIB, fake_probes

from opentelemetry.instrumentation.memory import MemoryConfig, _casework
from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory._judge import Judge
from opentelemetry.instrumentation.memory._outlets import Outlets
from opentelemetry.instrumentation.memory._response import Response
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
from opentelemetry.instrumentation.memory._surroundings import Surroundings
from opentelemetry.instrumentation.memory.model import Growth, LeakState, LeakVerdict, MemorySample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.instrumentation.memory.evidence import Evidence

PATIENCE_SECONDS = 30.0


class Told:
    def __init__(self) -> None:
        self.evidence: list[Evidence] = []
        self.has_evidence = threading.Event()

    def listen(self, verdict: LeakVerdict, evidence: Evidence) -> None:
        del verdict
        self.evidence.append(evidence)
        self.has_evidence.set()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture(autouse=True)
def _nothing_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_casework, "_inquiries", lambda *_: ())


@pytest.fixture
def make(told: Told) -> Callable[..., Response]:
    def make_response(config: MemoryConfig, outlets: Outlets | None = None) -> Response:
        outlets = outlets or Outlets(on_evidence=told.listen)
        clock = SystemClock()
        sampler = Sampler(config, fake_probes(), clock)
        judge = Judge(config.max_interval_seconds)
        sample = sampler.take()
        assert sample is not None
        judge.consider(sample)
        return Response(Surroundings(config, clock, sampler, judge, outlets))

    return make_response


def sample(resident_bytes: int = 100 * MIB) -> MemorySample:
    return MemorySample(0.0, 7, resident_bytes=resident_bytes, limit_bytes=200 * MIB)


def verdict(state: LeakState = "suspected") -> LeakVerdict:
    return LeakVerdict(state, 0.6, "retained", (Growth("retained", 1e9),))


def files(directory: Path) -> list[str]:
    return [json.loads(path.read_text())["reason"] for path in directory.glob("*.json")]


def test_casework_is_not_imported_before_the_first_alarm() -> None:
    program = (
        "import sys\n"
        "from opentelemetry.instrumentation.memory import MemoryInstrumentor\n"
        "from opentelemetry.sdk.metrics import MeterProvider\n"
        "MemoryInstrumentor().instrument(meter_provider=MeterProvider())\n"
        "MemoryInstrumentor().uninstrument()\n"
        "here = 'opentelemetry.instrumentation.memory.'\n"
        "names = ('_casework', '_investigator', '_attribution.investigation', 'evidence')\n"
        "print([name for name in names if here + name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_first_alarm_calls_for_casework(make: Callable[[MemoryConfig], Response]) -> None:
    response = make(MemoryConfig())
    assert not response.is_loading_due(LeakVerdict("quiet"))
    assert response.is_loading_due(verdict("suspected"))
    response.load()
    assert not response.is_loading_due(verdict("suspected"))
    response.stop(PATIENCE_SECONDS)


def test_alarm_has_requests_counted_at_the_moment_of_each_sample(
    make: Callable[[MemoryConfig], Response],
) -> None:
    response = make(MemoryConfig())
    response.load()
    assert response._casework is not None
    sampler = response._casework._sampler
    for _ in range(2):
        response.notice(verdict("suspected"), sampler.latest or sample())
    before = REQUESTS.era
    sampler.take()
    assert REQUESTS.era == before + 1
    response.stop(PATIENCE_SECONDS)


def test_nothing_is_watched_when_the_end_comes_while_casework_is_loaded(
    make: Callable[[MemoryConfig], Response],
) -> None:
    response = make(MemoryConfig(request_watch_bytes=MIB))
    response.stop(PATIENCE_SECONDS)
    response.load()
    assert REQUESTS.watch is None
    response.notice(verdict("suspected"), sample())
    assert not REQUESTS.is_counting


def test_alarm_calls_for_nothing_where_evidence_is_switched_off(
    make: Callable[[MemoryConfig], Response],
) -> None:
    response = make(MemoryConfig(evidence=False))
    assert not response.is_loading_due(verdict("confirmed"))
    response.notice(verdict("confirmed"), sample())
    assert response._casework is None


def test_confirmed_leak_is_written_at_once_where_evidence_is_switched_off(
    make: Callable[[MemoryConfig], Response], told: Told, tmp_path: Path
) -> None:
    response = make(MemoryConfig(snapshot_directory=str(tmp_path), evidence=False))
    response.notice(verdict("suspected"), sample())
    assert files(tmp_path) == []
    response.notice(verdict("confirmed"), sample())
    [written] = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    assert written["reason"] == "confirmed"
    assert written["verdict"] is not None
    assert written["history"]
    assert written["why_no_evidence"] == "evidence is switched off"
    response.stop(PATIENCE_SECONDS)
    assert told.evidence == []


def test_leak_that_stays_confirmed_is_written_once_where_evidence_is_switched_off(
    make: Callable[[MemoryConfig], Response], tmp_path: Path
) -> None:
    response = make(MemoryConfig(snapshot_directory=str(tmp_path), evidence=False))
    for state in ("confirmed", "confirmed", "recovered", "suspected", "confirmed"):
        response.notice(verdict(state), sample())
        # The time in the name of a file is in milliseconds.
        for path in tmp_path.glob("memory-snapshot-2*.json"):
            path.rename(tmp_path / f"{len(list(tmp_path.iterdir()))}.{state}.json")
    assert files(tmp_path) == ["confirmed", "confirmed"]


def test_request_calls_for_casework_whatever_the_risk(
    make: Callable[[MemoryConfig], Response], told: Told
) -> None:
    response = make(MemoryConfig(evidence=False))
    response.request("api")
    assert response.is_loading_due(LeakVerdict("quiet"))
    response.load()
    # Free memory has the shortest investigation.
    response.notice(verdict("quiet"), sample())
    assert told.has_evidence.wait(PATIENCE_SECONDS)
    response.stop(PATIENCE_SECONDS)
    assert response.evidence is told.evidence[0]


def test_confirmed_leak_is_written_when_its_investigation_has_ended(
    make: Callable[[MemoryConfig], Response], told: Told, tmp_path: Path
) -> None:
    response = make(MemoryConfig(snapshot_directory=str(tmp_path)))
    response.load()
    response.notice(verdict("confirmed"), sample())
    assert told.has_evidence.wait(PATIENCE_SECONDS)
    response.stop(PATIENCE_SECONDS)
    assert files(tmp_path) == ["confirmed"]


def test_snapshot_is_written_near_the_limit_without_waiting(
    make: Callable[[MemoryConfig], Response], tmp_path: Path
) -> None:
    response = make(MemoryConfig(snapshot_directory=str(tmp_path), evidence=False))
    response.notice(LeakVerdict("quiet"), sample(resident_bytes=190 * MIB))
    assert files(tmp_path) == ["near_limit"]


def test_snapshot_on_demand_is_returned_and_written(
    make: Callable[[MemoryConfig], Response], tmp_path: Path
) -> None:
    response = make(MemoryConfig(snapshot_directory=str(tmp_path)))
    assert response.snapshot()["reason"] == "api"
    assert files(tmp_path) == ["api"]


def test_nothing_is_written_without_a_directory(
    make: Callable[[MemoryConfig], Response], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    response = make(MemoryConfig())
    response.notice(LeakVerdict("quiet"), sample(resident_bytes=190 * MIB))
    assert response.snapshot()["reason"] == "api"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("near_limit", [True, False])
def test_casework_is_loaded_while_forks_wait(
    make: Callable[[MemoryConfig], Response], tmp_path: Path, *, near_limit: bool
) -> None:
    held: list[str] = []

    @contextmanager
    def without_forks() -> Iterator[None]:
        held.append("held")
        yield

    response = make(MemoryConfig(snapshot_directory=str(tmp_path), evidence=False))
    response.without_forks = without_forks
    if near_limit:
        response.notice(LeakVerdict("quiet"), sample(resident_bytes=190 * MIB))
    else:
        response.snapshot()
    assert held == ["held"]


def test_spans_of_a_provider_that_is_set_later_are_counted(
    make: Callable[..., Response],
) -> None:
    providers: list[object] = [ProxyTracerProvider()]
    response = make(MemoryConfig(), Outlets(tracer_provider=lambda: providers[-1]))
    response.load()
    provider = TracerProvider()
    providers.append(provider)
    response.notice(verdict("suspected"), sample())
    assert len(provider._active_span_processor._span_processors) == 1
    response.stop(PATIENCE_SECONDS)
    assert not provider._active_span_processor._span_processors
