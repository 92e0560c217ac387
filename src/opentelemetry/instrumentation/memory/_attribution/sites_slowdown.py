"""How much of the application's CPU time it costs to watch its allocations."""

from __future__ import annotations

import contextlib
import select
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._sampling.clock import Clock

# From this share of a core on a Python process may be unable to use any more; also where this often
# a thread that wants to run has to wait.
_SATURATED_SHARE: Final = 0.75
_WAITING_SECONDS: Final = 0.002
# Whoever waits for the GIL needs some 0.1 ms to take it when it is given back.
_GIVEN_BACK_SECONDS: Final = 0.0002
_BLOCKS: Final = 1000
_BLOCK_BYTES: Final = 64
_ROUNDS: Final = 2
# What tracing was measured to do to code that does nothing but allocate: no machine is beyond it.
_LEAST_FACTOR: Final = 1.2
_LARGEST_FACTOR: Final = 20.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The time, and the CPU time of every thread but the calling one."""

    at_seconds: float
    cpu_seconds: float


class Slowdown:
    """Estimates what is lost.

    A process that has CPU time to spare uses more of it for the same work: what it uses beyond its
    share from before is lost. One that uses a whole core, or all that it gets on a busy machine,
    cannot; there each second of CPU time does less work. How much less cannot be seen from outside,
    so the worst is assumed: that it does nothing but allocate. How much slower that is gets
    measured on the spot, in this thread. Which of the two it is shows by the CPU time used, and by
    how often the GIL is taken.

    Args:
        clock: Tells time and CPU time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._plain_seconds = 0.0
        self._plain_cpu_seconds = 0.0
        self._cost_before = 0.0
        self._factor = _LARGEST_FACTOR
        self._probes = 0
        self._waits = 0

    def begin(self) -> Moment:
        """Begin to watch: forget how often the GIL was taken."""
        self._probes = self._waits = 0
        return self.moment()

    def probe(self) -> None:
        """See whether somebody else wants the GIL: give it back, and see how soon it returns."""
        began = self._clock.now()
        with contextlib.suppress(OSError):  # Windows cannot wait for nothing
            select.select([], [], [], _GIVEN_BACK_SECONDS)
        self._probes += 1
        self._waits += self._clock.now() - began > _WAITING_SECONDS

    def moment(self) -> Moment:
        """Return the present moment."""
        cpu_seconds = self._clock.process_cpu() - self._clock.thread_cpu()
        return Moment(self._clock.now(), cpu_seconds)

    def count_plain(self, since: Moment) -> None:
        """Count the time since then as time in which nobody was watched."""
        now = self.moment()
        self._plain_seconds += now.at_seconds - since.at_seconds
        self._plain_cpu_seconds += now.cpu_seconds - since.cpu_seconds

    def most_lost_a_second(self) -> float:
        """Return what a second of watching may cost at worst, in seconds of CPU time."""
        share = self._plain_share()
        return min(share * (_LARGEST_FACTOR - 1), max(share, 1.0))

    def measure_before(self) -> None:
        """Measure what it costs to allocate, unwatched: under 1 ms."""
        self._cost_before = self._cost()

    def measure_during(self) -> None:
        """Measure what it costs to allocate while watched: a few milliseconds."""
        if self._cost_before > 0:
            factor = self._cost() / self._cost_before
            self._factor = min(max(factor, _LEAST_FACTOR), _LARGEST_FACTOR)

    def lost_cpu_seconds(self, since: Moment) -> float:
        """Return the CPU time that the application has lost since then, watched all the time."""
        now = self.moment()
        seconds = now.at_seconds - since.at_seconds
        used = max(now.cpu_seconds - since.cpu_seconds, 0.0)
        lost = max(used - self._plain_share() * seconds, 0.0)
        is_waiting = self._waits > _SATURATED_SHARE * self._probes
        if is_waiting or used >= _SATURATED_SHARE * seconds:
            lost = max(lost, used * (1 - 1 / self._factor))
        return lost

    def _plain_share(self) -> float:
        """Return the cores that the application used while nobody was watched."""
        return self._plain_cpu_seconds / self._plain_seconds if self._plain_seconds else 0.0

    def _cost(self) -> float:
        best = float("inf")
        for _ in range(_ROUNDS):
            began = self._clock.thread_cpu()
            blocks = [_block() for _ in range(_BLOCKS)]
            blocks.clear()
            best = min(best, self._clock.thread_cpu() - began)
        return best


def _block() -> bytes:
    return bytes(_BLOCK_BYTES)
