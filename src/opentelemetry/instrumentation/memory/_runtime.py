"""The live parts of one process: start, stop, and start again after a fork."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._baseline_store import BaselineStore
from opentelemetry.instrumentation.memory._judge import Judge
from opentelemetry.instrumentation.memory._outlets import Outlets
from opentelemetry.instrumentation.memory._probes import platform_probes
from opentelemetry.instrumentation.memory._process import GUARD_TIMEOUT_SECONDS, Process
from opentelemetry.instrumentation.memory._response import Response
from opentelemetry.instrumentation.memory._roles import is_child
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
from opentelemetry.instrumentation.memory._sampling.thread import SamplingThread
from opentelemetry.instrumentation.memory._surroundings import Surroundings
from opentelemetry.instrumentation.memory.config import service_identity
from opentelemetry.instrumentation.memory.responders.snapshot_signal import SnapshotSignal

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory._investigator import Occasion
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory.config import MemoryConfig
    from opentelemetry.instrumentation.memory.evidence import Evidence, RouteGrowth
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample

_logger = logging.getLogger(__name__)

STOP_TIMEOUT_SECONDS: Final = 2.0


class Runtime:
    """Samples the calling process, whichever it is: a forked child begins anew with its own parts.

    `os.register_at_fork` restarts the thread there; a metric collection that comes first, or in a
    child whose fork ran no hooks, does the same. Every wait for a lock has a timeout, since a lock
    that was held at the fork is never released in the child.
    """

    def __init__(
        self,
        config: MemoryConfig,
        clock: Clock | None = None,
        outlets: Outlets | None = None,
    ) -> None:
        self._config = config
        self._outlets = Outlets() if outlets is None else outlets
        self._clock: Clock = SystemClock() if clock is None else clock
        self._processes: dict[int, Process] = {}
        self._began_pid = os.getpid()
        self._has_warned_of_name = False
        self._dormant_pid: int | None = None
        self._signal: SnapshotSignal | None = None
        self._is_started = False
        self._is_stopped = False
        self._is_exiting = False

    def start(self) -> None:
        """Take the first sample and start the thread, if one is wanted."""
        _running.add(self)
        self._listen_to_signal()
        self._is_started = True
        process = self._own()
        process.sampler.take()
        self._ensure_thread(process)

    def start_in_children_only(self) -> None:
        """Stay silent in this process, and start in those that are forked from it."""
        _running.add(self)
        self._listen_to_signal()
        self._is_started = True
        self._dormant_pid = os.getpid()

    def start_with_first_collection(self) -> None:
        """Wait until a metric reader asks: before that nobody would see the samples."""
        _running.add(self)
        self._listen_to_signal()

    def end_thread(self) -> None:
        """End the thread for good; the SDK's last collection at exit still gets a sample."""
        self._is_exiting = True
        process = self._processes.get(os.getpid())
        if process is None:
            return
        # A thread that a collection is just starting is waited for, and then ended.
        if process.acquire_guard():
            process.guard.release()
        process.end_threads(STOP_TIMEOUT_SECONDS)

    def stop(self) -> None:
        """End the thread and give everything back; harmless when called twice."""
        self._is_stopped = True
        _running.discard(self)
        if self._signal is not None:
            self._signal.uninstall()
        self.end_thread()
        process = self._processes.pop(os.getpid(), None)
        if process is not None:
            _spent_by_stopped[process.pid] = _cpu_seconds(process)
            process.sampler.close()

    def sample_for_collection(self) -> MemorySample | None:
        """Return a sample of this moment for a metric collection, or None when there is none.

        It is taken here: the thread's latest may be `max_interval_seconds` old, and the thread of a
        child just forked has not taken any.
        """
        if self._is_stopped or self._dormant_pid == os.getpid():
            return None
        self._is_started = True
        process = self._own()
        self._ensure_thread(process)
        # Another thread is about to fork, or also collects. The first must not find the SDK's lock
        # held when it gets there, so do not wait here.
        latest = process.sampler.latest
        if not process.acquire_guard(GUARD_TIMEOUT_SECONDS if latest is None else 0):
            return latest
        try:
            asked_at_seconds = self._clock.now()
            sample = process.sampler.take()
            if sample is not None and sample.taken_at_seconds < asked_at_seconds:
                # One that the thread had begun before.
                sample = process.sampler.take()
            if sample is not None and process.thread is None:
                process.consider(sample)
            return sample
        finally:
            process.guard.release()

    def latest_verdict(self) -> LeakVerdict | None:
        """Return what the detector thinks of this process, or None before its first sample."""
        process = self._processes.get(os.getpid())
        return None if process is None else process.judge.verdict

    def latest_sample(self) -> MemorySample | None:
        """Return the newest sample of this process; without a thread, one that is taken now."""
        process = self._processes.get(os.getpid())
        if process is None or process.thread is None or process.sampler.latest is None:
            return self.sample_for_collection()
        return process.sampler.latest

    def latest_evidence(self) -> Evidence | None:
        """Return what the last investigation of this process found, or None before the first."""
        process = self._processes.get(os.getpid())
        return None if process is None else process.response.evidence

    def route_growth(self) -> tuple[RouteGrowth, ...]:
        """Return the routes that keep memory, as far as is known while risk is raised."""
        process = self._processes.get(os.getpid())
        return () if process is None else process.response.route_growth()

    def request(self, occasion: Occasion) -> None:
        """Ask for an investigation of this process, now; takes no lock."""
        process = self._processes.get(os.getpid())
        if process is not None:
            process.request(occasion)

    def snapshot(self) -> dict[str, Any] | None:
        """Return what is known of this process as a snapshot's document, and write it if wanted."""
        if self.latest_sample() is None:
            return None
        return self._own().response.snapshot()

    def history(self) -> tuple[MemorySample, ...]:
        """Return the samples kept of this process, oldest first."""
        process = self._processes.get(os.getpid())
        return () if process is None else process.sampler.history.samples()

    def cpu_seconds(self) -> float:
        """Return the CPU time that sampling and reporting have used in this process."""
        return _cpu_seconds(self._own())

    def thread_cpu(self) -> float:
        """Return the CPU clock of the calling thread, to measure a collection with."""
        return self._clock.thread_cpu()

    def add_collection_cpu_seconds(self, seconds: float) -> None:
        """Count CPU time that a metric collection spent in this package."""
        self._own().collection_cpu_seconds += seconds

    def hold_for_fork(self) -> None:
        """Wait until no collection is inside this package, and let none in before the fork.

        The SDK calls back with a lock held that it does not renew in a child: a fork at that moment
        leaves the child's metrics silent for ever. A callback that reads files gives way to other
        threads, and one of those may be about to fork.
        """
        process = self._processes.get(os.getpid())
        if process is not None:
            process.acquire_guard()

    def release_after_fork(self) -> None:
        """Let collections in again, in the parent."""
        process = self._processes.get(os.getpid())
        if process is not None:
            # RuntimeError: the guard could not be had in time, and the fork went ahead.
            with contextlib.suppress(RuntimeError):
                process.guard.release()

    def restart_after_fork(self) -> None:
        """Begin anew in a child."""
        for parent in tuple(self._processes.values()):
            parent.response.end_in_child()
        if self._is_started and not self._is_stopped:
            self._ensure_thread(self._own())

    def _listen_to_signal(self) -> None:
        if not self._config.snapshot_signal:
            return
        if self._config.snapshot_directory is None:
            _logger.warning(
                "SIGUSR2 writes no memory snapshot: set OTEL_PYTHON_MEMORY_SNAPSHOT_DIRECTORY"
            )
        else:
            self._signal = SnapshotSignal(lambda _: self.request("signal"))
            self._signal.install()

    def _own(self) -> Process:
        pid = os.getpid()
        process = self._processes.get(pid)
        if process is None:
            probes = platform_probes(self._config.limit_bytes)
            # Copied in one go: another thread may be at the same point and take the parent out.
            parent = next((each.sampler for each in tuple(self._processes.values())), None)
            sampler = Sampler(self._config, probes, self._clock, parent)
            judge = Judge(
                self._config.max_interval_seconds,
                self._outlets.on_change,
                self._baseline_store(pid),
                self._clock.epoch,
            )
            response = Response(
                Surroundings(self._config, self._clock, sampler, judge, self._outlets)
            )
            fresh = Process(pid, sampler, judge, response, self._signal)
            # The SDK's reader and the fork hook may both come here: setdefault lets one win.
            process = self._processes.setdefault(pid, fresh)
            for other in [each for each in self._processes if each != pid]:
                inherited = self._processes.pop(other, None)
                if inherited is not None:
                    # No hook has run if the fork was none of Python's.
                    inherited.response.end_in_child()
                    inherited.sampler.close()
        return process

    def _baseline_store(self, pid: int) -> BaselineStore | None:
        if self._config.baseline_directory is None or not self._config.background_sampling:
            return None
        name, version, _ = service_identity()
        if not name:
            if not self._has_warned_of_name:
                _logger.warning(
                    "no baseline is kept in %s: set OTEL_SERVICE_NAME, so that processes that do "
                    "different things do not share one",
                    self._config.baseline_directory,
                )
            self._has_warned_of_name = True
            return None
        # What is normal for a process that starts others says nothing about its workers.
        role = "" if pid == self._began_pid and not is_child() else "worker"
        return BaselineStore(self._config.baseline_directory, name, version, role=role)

    def _ensure_thread(self, process: Process) -> None:
        is_wanted = self._config.background_sampling and not self._is_exiting
        if process.is_sampled() or not is_wanted or not process.acquire_guard():
            return
        try:
            if not process.is_sampled() and not self._is_exiting:
                thread = SamplingThread(
                    process.sampler,
                    self._clock,
                    self._config.min_interval_seconds,
                    process.consider_and_learn,
                )
                thread.start()
                # A thread that something has killed is replaced, and its cost stays counted.
                process.collection_cpu_seconds += process.thread_cpu_seconds()
                process.thread = thread
        except RuntimeError:
            # "can't start new thread", or the interpreter is shutting down. Collections go on
            # taking samples themselves.
            return
        finally:
            process.guard.release()


_running: Final[set[Runtime]] = set()

# A counter of the process must not fall back when it is instrumented once more.
_spent_by_stopped: Final[dict[int, float]] = {}


def _cpu_seconds(process: Process) -> float:
    return _spent_by_stopped.get(process.pid, 0.0) + process.cpu_seconds()


def _attempt(do: Callable[[Runtime], None], runtime: Runtime) -> None:
    try:
        do(runtime)
    except Exception:
        _logger.exception("memory instrumentation failed around a fork or at exit")


def _for_each_running(do: Callable[[Runtime], None]) -> Callable[[], None]:
    def hook() -> None:
        for runtime in tuple(_running):
            _attempt(do, runtime)

    return hook


# Once for the life of the interpreter: none of these can be taken back, and with nothing running
# they do nothing.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_for_each_running(Runtime.hold_for_fork),
        after_in_parent=_for_each_running(Runtime.release_after_fork),
        after_in_child=_for_each_running(Runtime.restart_after_fork),
    )
atexit.register(_for_each_running(Runtime.end_thread))
