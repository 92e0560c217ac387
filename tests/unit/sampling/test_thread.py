from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from tests.fakes import FakeClock

from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.thread import THREAD_NAME, SamplingThread

if TYPE_CHECKING:
    import pytest

PATIENCE_SECONDS = 30.0


class CountingSampler:
    """Counts its samples, and tells when a number of them is reached."""

    def __init__(self, enough: int = 3, interval_seconds: float = 0.001) -> None:
        self.samples = 0
        self.costs: list[float] = []
        self.has_enough = threading.Event()
        self._enough = enough
        self._interval_seconds = interval_seconds

    def take(self) -> None:
        self.samples += 1
        if self.samples >= self._enough:
            self.has_enough.set()

    def next_interval_seconds(self, cost_seconds: float) -> float:
        self.costs.append(cost_seconds)
        return self._interval_seconds


class FailingSampler(CountingSampler):
    """Fails at each sample; the thread then asks ten seconds later, so its clock is hurried."""

    def take(self) -> None:
        super().take()
        raise RuntimeError("broken")


def thread_of(sampler: CountingSampler) -> SamplingThread:
    return SamplingThread(sampler, SystemClock())  # type: ignore[arg-type]


def test_samples_until_it_is_stopped_and_is_gone_then() -> None:
    sampler = CountingSampler()
    thread = thread_of(sampler)
    thread.start()
    assert sampler.has_enough.wait(PATIENCE_SECONDS)
    assert thread.is_alive()
    thread.stop(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert THREAD_NAME not in {each.name for each in threading.enumerate()}
    samples = sampler.samples
    thread.stop(PATIENCE_SECONDS)
    assert sampler.samples == samples


def test_stop_does_not_wait_for_the_interval() -> None:
    sampler = CountingSampler(enough=1, interval_seconds=3600)
    thread = thread_of(sampler)
    thread.start()
    assert sampler.has_enough.wait(PATIENCE_SECONDS)
    thread.stop(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert sampler.samples == 1


def test_wake_brings_the_next_sample_forward() -> None:
    sampler = CountingSampler(enough=2, interval_seconds=3600)
    thread = SamplingThread(sampler, SystemClock())  # type: ignore[arg-type]
    thread.start()
    while sampler.samples < 1:
        assert thread.is_alive()
    thread.wake()
    assert sampler.has_enough.wait(PATIENCE_SECONDS)
    thread.stop(PATIENCE_SECONDS)
    assert sampler.samples == 2


def test_waking_twice_at_once_is_harmless() -> None:
    thread = thread_of(CountingSampler(interval_seconds=3600))
    thread.wake()
    thread.wake()
    thread.start()
    thread.stop(PATIENCE_SECONDS)
    assert not thread.is_alive()


def test_first_sample_waits_for_the_first_interval() -> None:
    sampler = CountingSampler()
    thread = SamplingThread(sampler, SystemClock(), 3600)  # type: ignore[arg-type]
    thread.start()
    thread.stop(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert sampler.samples == 0


def test_stop_before_the_first_wait_is_not_lost() -> None:
    for _ in range(50):
        thread = thread_of(CountingSampler(interval_seconds=3600))
        thread.start()
        thread.stop(PATIENCE_SECONDS)
        assert not thread.is_alive()


def test_thread_may_stop_itself() -> None:
    class StoppingSampler(CountingSampler):
        def take(self) -> None:
            super().take()
            thread.stop(PATIENCE_SECONDS)

    sampler = StoppingSampler(enough=1)
    thread = thread_of(sampler)
    thread.start()
    assert sampler.has_enough.wait(PATIENCE_SECONDS)
    thread._thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert sampler.samples == 1


def test_counts_its_own_cpu_time_and_nobody_else_s() -> None:
    class WorkingSampler(CountingSampler):
        def take(self) -> None:
            deadline = time.thread_time() + 0.01
            while time.thread_time() < deadline:
                pass
            super().take()

    sampler = WorkingSampler(enough=5)
    thread = thread_of(sampler)
    process_before = time.process_time()
    thread.start()
    while not sampler.has_enough.is_set():
        sum(range(1000))
    thread.stop(PATIENCE_SECONDS)
    assert thread.cpu_seconds >= 0.01 * (sampler.samples - 1)
    assert thread.cpu_seconds < time.process_time() - process_before


def test_smoothed_cost_of_a_sample_is_what_the_schedule_gets() -> None:
    sampler = CountingSampler(enough=4)
    thread = thread_of(sampler)
    thread.start()
    assert sampler.has_enough.wait(PATIENCE_SECONDS)
    thread.stop(PATIENCE_SECONDS)
    assert sampler.costs[0] == 0.0
    assert all(cost > 0 for cost in sampler.costs[1:])


def test_average_cost_begins_with_the_first_sample() -> None:
    class Clock(FakeClock):
        """Each look at the CPU time is a second after the last."""

        def thread_cpu(self) -> float:
            self.work(1.0)
            return super().thread_cpu()

    sampler = CountingSampler(enough=4)
    thread = SamplingThread(sampler, Clock())  # type: ignore[arg-type]
    thread.start()
    assert sampler.has_enough.wait(PATIENCE_SECONDS)
    thread.stop(PATIENCE_SECONDS)
    assert sampler.costs[1:4] == [1.0, 1.0, 1.0]


def test_failing_sample_is_logged_once_and_the_thread_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sampler = FailingSampler()
    thread = thread_of(sampler)
    thread._stop = HurriedLock()  # type: ignore[assignment]
    with caplog.at_level(logging.WARNING):
        thread.start()
        assert sampler.has_enough.wait(PATIENCE_SECONDS)
        thread.stop(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


class HurriedLock:
    """A lock that nobody waits long for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def acquire(self, timeout: float) -> bool:
        assert timeout in (0.0, 10.0)
        return self._lock.acquire(timeout=0.001)

    def locked(self) -> bool:
        return self._lock.locked()

    def release(self) -> None:
        self._lock.release()
