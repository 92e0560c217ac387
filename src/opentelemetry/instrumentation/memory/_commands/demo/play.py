"""One run of the demo, without a word about how it is shown."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.demo.launch import (
    DemoError,
    Service,
    service_environment,
)
from opentelemetry.instrumentation.memory._commands.demo.load import Load
from opentelemetry.instrumentation.memory._commands.demo.receiver import Receiver
from opentelemetry.instrumentation.memory._commands.demo.recording import (
    LeakEvent,
    Recording,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.instrumentation.memory._commands.demo.load import Opinion, PhaseStart

_TICK_SECONDS: Final = 0.1
_EXPORT_SECONDS: Final = 15.0
# Evidence counts in samples, so a run has about as many of them whatever its length. With many more
# what fills for a few seconds at the beginning would be under suspicion as well.
_SAMPLES: Final = 600
_SHORTEST_SAMPLING_SECONDS: Final = 0.075
_SHORT_RUN_SECONDS: Final = 20.0
_LONGEST_EXPORT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to show at one moment.

    Attributes:
        began_at_seconds: Monotonic clock at the first request of the first phase.
        elapsed_seconds: Time since then.
        total_seconds: How long the run is meant to be.
        starts: The phases so far; the last one is on.
        recording: Every export of the worker so far. It grows while the run goes on.
        requests: How many requests have been answered.
        sampling_seconds: How often the service takes a sample.
        opinion: What its detector thinks now, or None before it has been asked.
    """

    began_at_seconds: float
    elapsed_seconds: float
    total_seconds: float
    starts: tuple[PhaseStart, ...]
    recording: Recording
    requests: int
    sampling_seconds: float
    opinion: Opinion | None = None


def sampling_seconds(seconds: float) -> float:
    """Return how often to sample in a run of that length."""
    return max(seconds / _SAMPLES, _SHORTEST_SAMPLING_SECONDS)


def export_seconds(seconds: float) -> float:
    """Return how often to export in a run of that length."""
    if seconds < _SHORT_RUN_SECONDS:
        return 0.25
    return min(max(seconds / 1200, 0.5), _LONGEST_EXPORT_SECONDS)


def play(
    seconds: float,
    environ: Mapping[str, str],
    show: Callable[[Scene], None],
    is_interrupted: Callable[[], bool],
) -> Scene:
    """Run the sample service through all phases and return the last scene.

    Args:
        seconds: How long the phases take together.
        environ: The user's environment.
        show: Called in this thread about ten times a second.
        is_interrupted: Asked as often; the run ends when it says so.

    Raises:
        DemoError: The service failed, or its metrics did not arrive.
    """
    with Receiver() as receiver:
        environment = service_environment(
            environ, receiver.port, export_seconds(seconds), sampling_seconds(seconds)
        )
        with Service(environment) as service:
            pid = service.wait_until_ready(is_interrupted)
            with Load(service, seconds) as load:
                run = _Run(receiver, service, load, pid, seconds)
                while not is_interrupted() and not run.is_over():
                    run.receive()
                    show(run.scene())
            return run.scene()


class _Run:
    def __init__(
        self, receiver: Receiver, service: Service, load: Load, pid: int | None, seconds: float
    ) -> None:
        self._receiver = receiver
        self._service = service
        self._load = load
        self._pid = pid
        self._seconds = seconds
        self._began_at_seconds = time.monotonic()
        self._ended_at_seconds: float | None = None
        self._recording = Recording()

    def receive(self) -> None:
        """Take in what arrives within a tick; the arbiter's exports are not what is shown."""
        arrival = self._receiver.next_arrival(_TICK_SECONDS)
        if arrival is not None and arrival.pid == self._pid:
            if isinstance(arrival, LeakEvent):
                self._recording.events.append(arrival)
            else:
                self._recording.exports.append(arrival)
        self._service.check()
        self._check_load()
        latest = self._recording.latest
        heard_at_seconds = self._began_at_seconds if latest is None else latest.arrived_at_seconds
        if time.monotonic() - heard_at_seconds > _EXPORT_SECONDS:
            raise DemoError(f"no metrics arrived from process {self._pid}")

    def is_over(self) -> bool:
        """Tell whether the phases are over and an export has shown how they ended."""
        if not self._load.is_done or self._load.error is not None:
            return False
        self._ended_at_seconds = self._ended_at_seconds or time.monotonic()
        latest = self._recording.latest
        return latest is not None and latest.arrived_at_seconds > self._ended_at_seconds

    def _check_load(self) -> None:
        if self._load.error is not None:
            self._service.check()
            raise DemoError(f"a request failed: {self._load.error}")

    def scene(self) -> Scene:
        """Return this moment."""
        now = time.monotonic() if self._ended_at_seconds is None else self._ended_at_seconds
        return Scene(
            self._began_at_seconds,
            now - self._began_at_seconds,
            self._seconds,
            self._load.starts,
            self._recording,
            self._service.requests,
            sampling_seconds(self._seconds),
            self._load.opinion,
        )
