"""Which line of code keeps what it allocates: one burst of watching allocations, then none."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._attribution import sites_memray, sites_tracing
from opentelemetry.instrumentation.memory._attribution.sites_growth import (
    Looks,
    growing_sites,
    library_share,
)
from opentelemetry.instrumentation.memory._attribution.sites_memray import MemrayWatch
from opentelemetry.instrumentation.memory._attribution.sites_slowdown import Slowdown
from opentelemetry.instrumentation.memory._attribution.sites_tracing import (
    TracemallocWatch,
    Traces,
    is_tracing,
)
from opentelemetry.instrumentation.memory._attribution.sites_watch import WatchImpossible
from opentelemetry.instrumentation.memory.evidence import Advice, EvidenceKind, Findings, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from opentelemetry.instrumentation.memory._attribution.inquiry import Case
    from opentelemetry.instrumentation.memory._attribution.sites_watch import Watch
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory.evidence import SiteGrowth

COOLDOWN_SECONDS: Final = 300.0
"""At least this long from the end of one burst to the beginning of the next."""

# Enough for hundreds of blocks of a common size, where the leak is fast enough.
_WANTED_BYTES: Final = 512 * 1024
_SHORTEST_SECONDS: Final = 1.0
_LEAST_SECONDS: Final = 3.0
_UNKNOWN_PACE_SECONDS: Final = 10.0
# pymalloc's own figures are hidden meanwhile, and reused for five minutes.
_MOST_SECONDS: Final = 30.0
# The first look comes early: what is in use, or fills a cache once, is alive by then, while a leak
# has most of its blocks still to come. The one in the middle tells a habit from a chance.
_LOOKS_AT: Final = (1 / 3, 2 / 3, 1.0)
_TICK_SECONDS: Final = 0.05
_LEAST_SECONDS_BETWEEN: Final = 0.1
_BASELINE_SECONDS: Final = 1.0
_TRIAL_SECONDS: Final = 0.2
# A burst that is worth more patience than this is not made.
_LONGEST_REST_SECONDS: Final = 300.0
_MOSTLY_LIBRARY: Final = 0.5
_MOSTLY_EXPLAINED: Final = 0.5
_OUTSIDE_OF_ARENAS: Final = ("native_heap", "other_anonymous")
_UNSEEN_BY_MEMRAY: Final = (
    "memray did not see the rest, as where C code calls malloc by its address, as ctypes does, or "
    "asks the system"
)


def end_in_child() -> None:
    """End a burst that a forked child has inherited; to be called in the child after a fork.

    What the application has started itself goes on.
    """
    sites_tracing.end_in_child()
    sites_memray.end_in_child()


@dataclass(frozen=True, slots=True)
class _Burst:
    looks: Looks
    sites: tuple[SiteGrowth, ...]
    sees_c: bool = False


@dataclass(slots=True)
class _Expense:
    """What has been spent since an inquiry began."""

    began_at_seconds: float
    own_cpu_began_at_seconds: float
    slowdown_seconds: float = 0.0
    due_seconds: float = 0.0
    """What is still to be spent on what has been seen."""
    longest_pause_seconds: float = 0.0
    memory_bytes: int = 0

    def add(self, watch: Watch | Traces) -> None:
        self.due_seconds = 0.0
        self.slowdown_seconds += watch.cpu_seconds
        self.longest_pause_seconds = max(self.longest_pause_seconds, watch.longest_pause_seconds)
        self.memory_bytes = max(self.memory_bytes, watch.memory_bytes)


class SiteInquiry:
    """Names the lines whose allocations stay.

    One burst is seconds long: as long as the segment takes to grow by half a megabyte, within 3 and
    30 seconds. Looks at what is alive, after each third of it, tell a line that keeps from a line
    whose blocks come and go. (A block that Python keeps for reuse, as it does for small lists and
    dicts, stays with the line that had it first.) What a burst costs is CPU time of the
    application: to allocate takes several times as long while it is watched.

    The accounts: a trial of 0.2 s measures how fast CPU time is lost. Before it, and again before
    the burst, the inquiry waits until the loss that must be expected is within the budget's share
    of the time that has passed since the inquiry began; a burst that would need more than five
    minutes of waiting is made shorter. The loss is measured all through the burst, which ends where
    it has used up what it was allowed. So no more than that share of the inquiry's own time is
    lost, with its own work before the burst and what another process takes to read memray's record.
    Another burst begins five minutes later at the earliest.

    Where the application runs tracemalloc itself, its traces are looked at, and nothing is started
    or stopped. Where memray is installed and no greenlets are, it watches instead of tracemalloc,
    unless the application allocates so much that its record would be too large; it sees C
    allocations as well.

    Keep one object for the life of the process: it knows when the last burst was.

    Args:
        clock: Tells time and CPU time.
        frames: Lines of the call stack that tracemalloc keeps. With more than one, the first burst
            still keeps one, and a second one keeps more if the first ends in library code.
        share_of_core: The budget, between 0 and 1: what may be lost, as a share of wall time.
        directory: Where memray may write its record meanwhile; None for the temporary directory.
        uses_memray: Whether to use memray where it can be used.
        without_forks: Makes forks wait while memray is imported, started and stopped.
    """

    kind: EvidenceKind = "sites"
    interim: Findings | None = None

    def __init__(  # noqa: PLR0913 - all but the clock have defaults
        self,
        clock: Clock,
        frames: int = 1,
        share_of_core: float = 0.01,
        directory: str | None = None,
        *,
        uses_memray: bool = True,
        without_forks: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._clock = clock
        self._frames = frames
        self._share = share_of_core
        self._directory = directory
        self._uses_memray = uses_memray
        self._without_forks = without_forks
        self._last_ended_at: float | None = None
        self.is_holding = False

    def gather(self, case: Case) -> Generator[float, None, Findings]:
        """Watch allocations for seconds, and return the lines that keep theirs."""
        expense = _Expense(self._clock.now(), self._clock.thread_cpu())
        try:
            if is_tracing():
                burst = yield from self._look_at_applications_traces(case, expense)
            else:
                self._check_cooldown()
                burst = yield from self._burst(case, expense)
        except WatchImpossible as why:
            return self._findings(expense, skipped=(Skipped(self.kind, str(why)),))
        return self._findings(
            expense,
            sites=burst.sites,
            seconds=burst.looks.seconds,
            advice=self._advice(case, burst),
        )

    def _findings(
        self,
        expense: _Expense,
        *,
        sites: tuple[SiteGrowth, ...] = (),
        seconds: float | None = None,
        advice: tuple[Advice, ...] = (),
        skipped: tuple[Skipped, ...] = (),
    ) -> Findings:
        return Findings(
            sites=sites,
            seconds=seconds,
            advice=advice,
            skipped=skipped,
            slowdown_cpu_seconds=expense.slowdown_seconds,
            longest_pause_seconds=expense.longest_pause_seconds,
            memory_bytes=expense.memory_bytes,
        )

    def _check_cooldown(self) -> None:
        if self._last_ended_at is None:
            return
        passed = self._clock.now() - self._last_ended_at
        if passed < COOLDOWN_SECONDS:
            raise WatchImpossible(
                f"allocations were last watched {passed:.0f} s ago; "
                f"not again before {COOLDOWN_SECONDS:.0f} s have passed"
            )

    def _burst(self, case: Case, expense: _Expense) -> Generator[float, None, _Burst]:
        if self._uses_memray and MemrayWatch.why_not() is None:
            watch = MemrayWatch(self._clock, case.segment, self._directory, self._without_forks)
            try:
                return (yield from self._paced(watch, case, expense))
            except WatchImpossible:
                pass  # tracemalloc may be possible; what has been lost so far counts
        burst = yield from self._paced(TracemallocWatch(self._clock, 1), case, expense)
        if self._frames > 1 and library_share(burst.looks, burst.sites) >= _MOSTLY_LIBRARY:
            # The library's line says little: who calls it does, and more frames cost more.
            try:
                deeper = TracemallocWatch(self._clock, self._frames)
                return (yield from self._paced(deeper, case, expense))
            except WatchImpossible:
                pass
        return burst

    def _paced(self, watch: Watch, case: Case, expense: _Expense) -> Generator[float, None, _Burst]:
        """Watch once, within the budget: trial, rest, burst, results."""
        slowdown = Slowdown(self._clock)
        try:
            yield from watch.prepare()
            slowdown.measure_before()
            yield from self._rest(_BASELINE_SECONDS, slowdown)
            yield from self._earn(slowdown.most_lost_a_second() * _TRIAL_SECONDS, slowdown, expense)
            self.is_holding = True
            lost_a_second = yield from self._try_out(watch, slowdown, expense)
            self.is_holding = False
            wanted = self._wanted_seconds(case)
            possible = min(wanted, watch.longest_seconds(_TRIAL_SECONDS))
            seconds = self._affordable_seconds(possible, lost_a_second, expense)
            if seconds < min(_SHORTEST_SECONDS, wanted):
                raise WatchImpossible(
                    f"to watch allocations would slow the application by {lost_a_second:.0%} of a "
                    f"core, for which the budget has {seconds:.1f} s: too short"
                )
            expense.due_seconds = watch.reading_seconds(seconds, _TRIAL_SECONDS)
            yield from self._earn(lost_a_second * seconds, slowdown, expense)
            self.is_holding = True
            at_seconds = yield from self._watch(watch, seconds, slowdown, expense)
            live = yield from watch.results()
        finally:
            watch.close()
            self.is_holding = False
            expense.add(watch)
            self._last_ended_at = self._clock.now()
        looks = Looks(tuple(live), at_seconds)
        sites = growing_sites(looks, case.bytes_per_second)
        return _Burst(looks, sites, sees_c=isinstance(watch, MemrayWatch))

    def _rest(self, seconds: float, slowdown: Slowdown) -> Generator[float, None, None]:
        began = slowdown.moment()
        yield seconds
        slowdown.count_plain(began)

    def _earn(
        self, expected_loss_seconds: float, slowdown: Slowdown, expense: _Expense
    ) -> Generator[float, None, None]:
        """Rest until this much more loss is within the budget, beside this thread's own work."""
        loss_seconds = expense.slowdown_seconds + expense.due_seconds + expected_loss_seconds
        loss_seconds += self._clock.thread_cpu() - expense.own_cpu_began_at_seconds
        passed = self._clock.now() - expense.began_at_seconds
        yield from self._rest(max(loss_seconds / self._share - passed, 0.0), slowdown)

    def _try_out(
        self, watch: Watch, slowdown: Slowdown, expense: _Expense
    ) -> Generator[float, None, float]:
        """Return how much CPU time is lost in a second of watching, in seconds."""
        began = slowdown.begin()
        watch.begin()
        slowdown.measure_during()
        while self._clock.now() < began.at_seconds + _TRIAL_SECONDS:
            yield 0.0  # a longer rest would make it a longer trial
            slowdown.probe()
        lost = slowdown.lost_cpu_seconds(began)
        if watch.is_interrupted():
            raise WatchImpossible("the application has taken over")
        watch.end()
        expense.slowdown_seconds += lost
        return lost / max(self._clock.now() - began.at_seconds, _TRIAL_SECONDS)

    def _wanted_seconds(self, case: Case) -> float:
        if case.bytes_per_second <= 0:
            return _UNKNOWN_PACE_SECONDS
        return case.seconds_to_grow(_WANTED_BYTES, _LEAST_SECONDS, _MOST_SECONDS)

    def _affordable_seconds(
        self, wanted_seconds: float, lost_a_second: float, expense: _Expense
    ) -> float:
        left = _LONGEST_REST_SECONDS * self._share - expense.slowdown_seconds
        return min(wanted_seconds, max(left, 0.0) / max(lost_a_second, 1e-9))

    def _watch(
        self, watch: Watch, seconds: float, slowdown: Slowdown, expense: _Expense
    ) -> Generator[float, None, tuple[float, ...]]:
        """Look from time to time; return how many seconds after the beginning.

        Raises:
            WatchImpossible: The application took over, or lost too much for a first look.
        """
        lost_before = expense.slowdown_seconds
        began = slowdown.begin()
        watch.begin()
        begin_seconds, debt_seconds = began.at_seconds, 0.0
        looked_at: list[float] = []
        for part in _LOOKS_AT:
            until = begin_seconds + seconds * part
            while (left := until - self._clock.now()) > 0 and not watch.is_full():
                wish_seconds = self._wish(left, debt_seconds)
                yield wish_seconds
                debt_seconds = 0.0 if wish_seconds else debt_seconds
                slowdown.probe()
                expense.slowdown_seconds = lost_before + slowdown.lost_cpu_seconds(began)
                if watch.is_interrupted():
                    raise WatchImpossible("the application has taken over")
                if self._is_over_budget(expense):
                    break
            if self._is_over_budget(expense) and not looked_at:
                raise WatchImpossible(
                    "to watch allocations cost the application more than the budget at once"
                )
            before_look = self._clock.thread_cpu()
            looked_at.append(self._clock.now() - begin_seconds)
            watch.look()
            debt_seconds += self._clock.thread_cpu() - before_look
        watch.end()
        expense.slowdown_seconds = lost_before + slowdown.lost_cpu_seconds(began)
        if looked_at[-1] - looked_at[0] < _LEAST_SECONDS_BETWEEN:
            raise WatchImpossible("allocations came too fast to watch them for long enough")
        return tuple(looked_at)

    def _wish(self, left_seconds: float, debt_seconds: float) -> float:
        """Return how long to rest during a burst.

        The investigation makes up for CPU time by resting, and each second of that rest would cost
        the application more than it saves. So what has to be made up for waits until the end.
        """
        if debt_seconds * (1 / self._share - 1) > left_seconds:
            return 0.0
        return min(left_seconds, _TICK_SECONDS)

    def _is_over_budget(self, expense: _Expense) -> bool:
        passed = self._clock.now() - expense.began_at_seconds
        return expense.slowdown_seconds + expense.due_seconds > self._share * passed

    def _look_at_applications_traces(
        self, case: Case, expense: _Expense
    ) -> Generator[float, None, _Burst]:
        """Look at what the application's own tracing shows, and touch nothing."""
        traces = Traces(self._clock)
        looked_at = []
        for seconds in (0.0, *[self._wanted_seconds(case) / 2] * 2):
            yield seconds
            if not is_tracing():
                raise WatchImpossible("the application has stopped its tracemalloc")
            looked_at.append(self._clock.now())
            traces.look()
        live = yield from traces.results()
        expense.add(traces)
        looks = Looks(tuple(live), tuple(looked_at), is_burst=False)
        return _Burst(looks, growing_sites(looks, case.bytes_per_second))

    def _advice(self, case: Case, burst: _Burst) -> tuple[Advice, ...]:
        if case.segment not in _OUTSIDE_OF_ARENAS:
            return ()
        seen = sum(site.bytes_per_second for site in burst.sites)
        if seen >= case.bytes_per_second * _MOSTLY_EXPLAINED:
            return ()
        how = _UNSEEN_BY_MEMRAY if burst.sees_c else MemrayWatch.why_not()
        if how is None:
            return ()
        share = f"{seen / 1024:.0f} of {case.bytes_per_second / 1024:.0f} KiB a second"
        return (Advice(f"the lines that were found keep {share}: {how}"),)
