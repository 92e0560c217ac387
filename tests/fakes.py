"""A clock that moves when told, and probes that say what they are told."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from opentelemetry.instrumentation.memory._probes import Probes
from opentelemetry.instrumentation.memory._probes.base import Allocator, Resident
from opentelemetry.instrumentation.memory.model import GcGeneration

Reading = TypeVar("Reading")

MIB = 2**20


class FakeClock:
    """Three clocks; waiting moves the first, working moves all of them."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self._now = seconds
        self._thread_cpu = 0.0
        self._process_cpu = 0.0

    def now(self) -> float:
        return self._now

    def epoch(self) -> float:
        return self._now

    def thread_cpu(self) -> float:
        return self._thread_cpu

    def process_cpu(self) -> float:
        return self._process_cpu

    def wait(self, seconds: float, process_cpu_seconds: float = 0.0) -> None:
        self._now += seconds
        self._process_cpu += process_cpu_seconds

    def work(self, seconds: float) -> None:
        self._now += seconds
        self._thread_cpu += seconds
        self._process_cpu += seconds


class FakeProbe(Generic[Reading]):
    """Gives its answers in turn and the last one for ever; an exception among them is raised."""

    def __init__(
        self,
        *answers: Reading | Exception,
        name: str = "fake",
        clock: FakeClock | None = None,
        cost_seconds: float = 0.0,
    ) -> None:
        self.name = name
        self.answers = list(answers)
        self.cost_seconds = cost_seconds
        self.reads = 0
        self.is_closed = False
        self._clock = clock

    def read(self) -> Reading:
        self.reads += 1
        if self._clock is not None:
            self._clock.work(self.cost_seconds)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.is_closed = True


def fake_probes(**instead: Any) -> Probes:
    """Return a set of probes of a 100 MiB process without a limit, save for those given."""
    probes: dict[str, Any] = {
        "resident": FakeProbe(Resident(100 * MIB, 400 * MIB, 10 * MIB), name="statm"),
        "shared": FakeProbe(2 * MIB, name="status"),
        "objects": FakeProbe(Allocator(30 * MIB, 32 * MIB), name="pymalloc"),
        "native": FakeProbe(Allocator(40 * MIB, 44 * MIB), name="mallinfo2"),
        "gc": FakeProbe((GcGeneration(3, 20, 0),), name="gc"),
        "limit": FakeProbe(None, name="limit"),
    }
    return Probes(**{**probes, **instead})
