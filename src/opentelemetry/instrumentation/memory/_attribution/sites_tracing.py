"""tracemalloc, for seconds: switched on by this package, and given up to anybody else who wants it.

The application may start tracemalloc during a burst. The module would ignore that, as it is on
already, and the burst's end would end the application's tracing. So `tracemalloc.start` is replaced
while a burst is on: it ends the burst first. (A `start` that the application has imported by itself
beforehand escapes this.) `tracemalloc.stop` needs no such care: the burst sees that it is off.
"""

from __future__ import annotations

import os
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.collections import CollectionsMeanwhile
from opentelemetry.instrumentation.memory._attribution.sites_growth import Kept, Stack
from opentelemetry.instrumentation.memory._attribution.sites_watch import WatchImpossible

try:
    import tracemalloc
except ImportError:  # PyPy
    tracemalloc = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from opentelemetry.instrumentation.memory._attribution.sites_growth import Frames
    from opentelemetry.instrumentation.memory._sampling.clock import Clock

_Trace = tuple[Any, ...]  # domain, bytes, frames, total frames
_Counted = Counter[tuple[int, "Frames"]]
_size_and_frames: Final = itemgetter(1, 2)

# What tracemalloc itself spends on a trace in CPython 3.10 to 3.13, measured; its tables of files
# and stacks come on top, so a count by this is at most too high.
_BYTES_PER_TRACE: Final = 53
# A trace as Python objects: a tuple, a size and its place in a list.
_BYTES_PER_TRACE_SEEN: Final = 130
_BYTES_PER_COUNT: Final = 200
# One look is one call in C that keeps the GIL: 0.2 to 0.45 µs a trace. Each look has all that came
# before it, too, so the first ones come early enough where traces come fast.
_MOST_TRACES: Final = (15_000, 30_000, 50_000)
_ENOUGH_TO_MEASURE: Final = 5_000
_LONGEST_LOOK_SECONDS: Final = 0.015
# Up to here a look stays under 50 ms; an application that gets there between two checks, or with
# its own tracing, is not looked at.
_TOO_MANY_TRACES: Final = 100_000
# One call in C for so many: some 1 ms.
_TRACES_AT_ONCE: Final = 5_000
_COUNTS_PER_STEP: Final = 5_000

_owner: Final[dict[str, Callable[..., None]]] = {}
"""Holds the real `tracemalloc.start` while a burst is on. Popped by whoever ends it."""


def is_tracing() -> bool:
    """Return whether tracemalloc is on, whoever has started it."""
    return tracemalloc is not None and tracemalloc.is_tracing()


def end_in_child() -> None:
    """End the burst that a forked child has inherited; to be called in the child after a fork.

    What the application has started itself goes on.
    """
    _end_burst()


def _end_burst() -> bool:
    start = _owner.pop("start", None)
    if start is None:
        return False
    # Somebody may have replaced it in turn.
    if tracemalloc.start is _start_for_application:
        vars(tracemalloc)["start"] = start
    tracemalloc.stop()
    return True


def _start_for_application(nframe: int = 1) -> None:
    """Stand in for `tracemalloc.start` while a burst is on: end it, then start."""
    _end_burst()
    tracemalloc.start(nframe)


class Traces:
    """Looks at tracemalloc's traces, each one bounded."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looks: list[_Counted] = []
        self._most_traces = _MOST_TRACES[0]
        self.longest_pause_seconds = 0.0
        self.memory_bytes = 0
        self.cpu_seconds = 0.0

    def look(self) -> None:
        """Copy the traces, and count them at once.

        As long as they are there, the garbage collector takes them for objects that the application
        keeps: tens of thousands, enough for one more collection of the whole heap. Counting hardly
        allocates.

        Raises:
            WatchImpossible: There are so many that to copy them would stall the application.
        """
        if (count := traces_at_most()) > _TOO_MANY_TRACES:
            raise WatchImpossible(
                f"tracemalloc has up to {count:,} traces: to copy them would stall the application"
            )
        began = self._clock.thread_cpu()
        # Up to 3.11 so many new tuples may make a collection due within the call. To switch the
        # collector off is the application's own affair.
        with CollectionsMeanwhile(self._clock) as collections:
            traces = _all_traces()
        seconds = self._clock.thread_cpu() - began - collections.seconds
        self.longest_pause_seconds = max(self.longest_pause_seconds, seconds)
        seen = len(traces)
        counted: _Counted = Counter()
        self._looks.append(counted)
        memory_bytes = seen * _BYTES_PER_TRACE_SEEN + tracemalloc.get_tracemalloc_memory()
        while traces:
            counted.update(map(_size_and_frames, traces[-_TRACES_AT_ONCE:]))
            del traces[-_TRACES_AT_ONCE:]
        memory_bytes += sum(map(len, self._looks)) * _BYTES_PER_COUNT
        self.memory_bytes = max(self.memory_bytes, memory_bytes)
        most = _MOST_TRACES[min(len(self._looks), len(_MOST_TRACES) - 1)]
        if seconds > 0 and seen > _ENOUGH_TO_MEASURE:
            most = min(most, int(seen * _LONGEST_LOOK_SECONDS / seconds))
        self._most_traces = max(most, seen + 1)

    def is_full(self) -> bool:
        """Return whether a look would take too long if there were more traces."""
        return traces_at_most() >= self._most_traces

    def results(self) -> Generator[float, None, list[dict[Stack, Kept]]]:
        """Return blocks and bytes by call stack, worked out in steps, and forget the counts."""
        kept = []
        while self._looks:
            kept.append((yield from _by_stack(self._looks.pop(0))))
        return kept


class TracemallocWatch(Traces):
    """A burst of tracemalloc.

    Args:
        clock: Measures how long looks take.
        frames: How many lines of each call stack are kept.
    """

    def __init__(self, clock: Clock, frames: int) -> None:
        super().__init__(clock)
        self._frames = frames
        self._pid = 0

    def prepare(self) -> Generator[float, None, None]:
        """Check that tracemalloc is the one that is known."""
        if tracemalloc is None:
            raise WatchImpossible("this Python has no tracemalloc")
        if not hasattr(tracemalloc, "_get_traces"):
            raise WatchImpossible("this Python's tracemalloc has another inside")
        yield 0.0

    def begin(self) -> None:
        """Start tracemalloc, unless it is on."""
        if tracemalloc.is_tracing():
            raise WatchImpossible("the application has started tracemalloc")
        self._looks = []
        self._most_traces = _MOST_TRACES[0]
        self._pid = os.getpid()
        start = _owner["start"] = tracemalloc.start
        start(self._frames)
        vars(tracemalloc)["start"] = _start_for_application

    def is_interrupted(self) -> bool:
        """Return whether the application has stopped tracemalloc or started it itself."""
        return "start" not in _owner or not is_tracing()

    def end(self) -> None:
        """Stop tracemalloc, if it is on for this burst's sake and in this process."""
        if self._pid == os.getpid():
            self._pid = 0
            _end_burst()

    def close(self) -> None:
        """Stop, and forget what was seen."""
        self.end()
        self._looks = []

    def longest_seconds(self, trial_seconds: float) -> float:  # noqa: ARG002 - looks are bounded
        """Return infinity: a burst ends when it is full."""
        return float("inf")

    def reading_seconds(self, seconds: float, trial_seconds: float) -> float:  # noqa: ARG002 - none
        """Return zero: all is done in this process."""
        return 0.0


def _all_traces() -> list[_Trace]:
    # `take_snapshot` calls this too. Its public face makes three objects a trace: 2 µs each.
    traces: list[_Trace] = tracemalloc._get_traces()  # type: ignore[attr-defined]  # noqa: SLF001
    return traces


def traces_at_most() -> int:
    """Return how many traces there are, or a few more."""
    return tracemalloc.get_tracemalloc_memory() // _BYTES_PER_TRACE


def _by_stack(counted: _Counted) -> Generator[float, None, dict[Stack, Kept]]:
    by_frames: dict[Frames, Kept] = {}
    for at, ((size, frames), blocks) in enumerate(counted.items(), 1):
        kept = by_frames.get(frames)
        if kept is None:
            kept = by_frames[frames] = Kept()
        kept.add(size * blocks, blocks, size)
        if at % _COUNTS_PER_STEP == 0:
            yield 0.0
    yield 0.0
    return {Stack(frames): kept for frames, kept in by_frames.items()}
