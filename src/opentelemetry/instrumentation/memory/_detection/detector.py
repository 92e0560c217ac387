"""Is this process leaking, and why do we think so: time and samples in, verdict out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from opentelemetry.instrumentation.memory._detection import risk, words
from opentelemetry.instrumentation.memory._detection.levels import (
    LIVE,
    WATCHED,
    fresh_levels,
    read_level,
)
from opentelemetry.instrumentation.memory._detection.segment import Judgement, SegmentWatch
from opentelemetry.instrumentation.memory._detection.state import (
    BYTE_ORDER,
    items,
    members,
    number,
    text,
    whole,
)
from opentelemetry.instrumentation.memory._detection.ticks import Ticks
from opentelemetry.instrumentation.memory.model import (
    Growth,
    LeakState,
    LeakVerdict,
    MemorySample,
    Segment,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.instrumentation.memory._detection.baseline import Baseline

STATE_VERSION: Final = 3

_RECOVERED_TICKS: Final = 64
# A source can fail for a moment; after this many ticks without it, what it told is the past.
_FORGOTTEN_TICKS: Final = 16
# Enough for one of each kind; a verdict names at most the live segments.
_MOST_GROWTHS: Final = len(LIVE)


class LeakDetector:
    """Judges the memory of one process, one sample after the other.

    For each segment it keeps the floor that was never given back (`envelope`), at block lengths
    that grow by four, and asks what else than a leak explains a rise of it: a cache that slows
    down, a single step, a size that was given back before, growth too small to matter (`risk`).
    What nothing else explains is weighed by how long it has lasted. Time comes from the samples
    alone, and no length of time is built in: the code that judges a minute judges a year.

    A segment raises suspicion under strict limits and keeps it under wider ones. A confirmed leak
    stays confirmed while any live segment is under suspicion.

    Costs 20 to 40 µs a sample and 4 to 160 KiB, whatever the uptime.

    Args:
        minimum_tick_seconds: Samples closer together than this are averaged.
        baseline: What earlier runs have shown to be normal; growth within it is not seen.
    """

    def __init__(self, minimum_tick_seconds: float = 0.0, baseline: Baseline | None = None) -> None:
        self._baseline = baseline
        self._minimum_tick_seconds = minimum_tick_seconds
        self._start_over(None)

    def _start_over(self, pid: int | None) -> None:
        self._pid = pid
        self._ticks = Ticks(self._minimum_tick_seconds)
        self._watches: dict[Segment, SegmentWatch] = {}
        # The segments under suspicion, each with the highest risk under the strict limits so far.
        self._raised: dict[Segment, float] = {}
        self._last_levels: dict[Segment, float] = {}
        self._absent_ticks: dict[Segment, int] = {}
        self._tick_count = 0
        self._recovered_at = 0
        self._verdict = LeakVerdict()

    def update(self, sample: MemorySample, hour: int | None = None) -> LeakVerdict:
        """Take the next sample into account and return the verdict after it.

        Args:
            sample: The sample.
            hour: The hour of the week in UTC, 0 to 167, for the baseline's season.
        """
        if sample.pid != self._pid:
            # Another process, such as the next one of a service that was restarted.
            self._start_over(sample.pid)
        tick = self._ticks.add(sample.taken_at_seconds, self._values(sample, hour))
        if tick is None or sample.resident_bytes is None:
            return self._verdict
        self._tick_count += 1
        time, means = tick
        is_judged = self._forget_absent(sample)
        # How far this process can grow: others may have used up most of a limit that they share.
        headroom = sample.headroom_bytes
        reachable = None if headroom is None else sample.resident_bytes + headroom
        for name in WATCHED:
            if name in means:
                is_judged |= self._watch(name).add(
                    time, means[name], sample.resident_bytes, reachable
                )
        if is_judged:
            self._verdict = self._judge(sample)
        return self._verdict

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON; `from_state` goes on where this stopped."""
        return {
            "version": STATE_VERSION,
            "byte_order": BYTE_ORDER,
            "pid": self._pid,
            "minimum_tick_seconds": self._minimum_tick_seconds,
            "ticks": self._ticks.to_state(),
            "watches": {name: watch.to_state() for name, watch in self._watches.items()},
            "raised": dict(self._raised),
            "last_levels": dict(self._last_levels),
            "absent_ticks": dict(self._absent_ticks),
            "tick_count": self._tick_count,
            "recovered_at": self._recovered_at,
            "verdict": _plain(self._verdict),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], baseline: Baseline | None = None) -> LeakDetector:
        """Return the detector that `to_state` described, with the baseline that it had.

        Raises:
            ValueError: Another version or another kind of machine wrote the state, or it is
                damaged.
        """
        saved = members(state)
        if saved.get("version") != STATE_VERSION or saved.get("byte_order") != BYTE_ORDER:
            raise ValueError("not a state of this detector")
        try:
            detector = cls(number(saved["minimum_tick_seconds"], least=0), baseline)
            detector._pid = None if saved["pid"] is None else whole(saved["pid"])
            detector._ticks = Ticks.from_state(saved["ticks"])
            watches, absent = members(saved["watches"]), members(saved["absent_ticks"])
            raised, levels = members(saved["raised"]), members(saved["last_levels"])
            detector._tick_count = whole(saved["tick_count"])
            detector._recovered_at = whole(saved["recovered_at"])
            detector._verdict = _restored_verdict(members(saved["verdict"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"damaged detector state: {error!r}") from error
        known = [name for name in WATCHED if name in watches]
        detector._watches = {name: SegmentWatch.from_state(watches[name]) for name in known}
        detector._raised = {name: number(raised[name], 0) for name in known if name in raised}
        detector._last_levels = {
            name: number(levels[name], 0) for name in WATCHED if name in levels
        }
        detector._absent_ticks = {name: whole(absent[name]) for name in known if name in absent}
        return detector

    def _watch(self, segment: Segment) -> SegmentWatch:
        watch = self._watches.get(segment)
        if watch is None:
            watch = self._watches[segment] = SegmentWatch()
        return watch

    def _values(self, sample: MemorySample, hour: int | None) -> dict[str, float]:
        baseline = self._baseline
        # A source that rests still tells what it told last: growth is seen in larger steps then,
        # and its segment gathers evidence no slower than the others.
        self._last_levels.update(fresh_levels(sample))
        seen = {
            name: level if baseline is None else baseline.excess(name, level, hour)
            for name, level in self._last_levels.items()
            if read_level(sample, name) is not None
        }
        return {name: level for name, level in seen.items() if level is not None}

    def _forget_absent(self, sample: MemorySample) -> bool:
        """Forget the segments whose source is gone; return whether there were any."""
        gone = []
        for name in self._watches:
            if read_level(sample, name) is not None:
                self._absent_ticks.pop(name, None)
                continue
            self._absent_ticks[name] = self._absent_ticks.get(name, 0) + 1
            if self._absent_ticks[name] >= _FORGOTTEN_TICKS:
                gone.append(name)
        for name in gone:
            del self._watches[name], self._absent_ticks[name]
            self._raised.pop(name, None)
            self._last_levels.pop(name, None)
        return bool(gone)

    def _judge(self, sample: MemorySample) -> LeakVerdict:
        risks: dict[Segment, float] = {}
        firm = 0.0
        for segment, watch in self._watches.items():
            to_raise = risk.risk(watch.best(is_raised=False).raise_score)
            if segment in LIVE:
                firm = max(firm, to_raise)
            risks[segment] = to_raise
            raised = max(to_raise, self._raised.get(segment, 0.0))
            if raised >= risk.SUSPECTED_RISK:
                # The wider limits keep up a risk; only the strict ones raise it.
                to_hold = risk.risk(watch.best(is_raised=True).hold_score)
                risks[segment] = min(to_hold, raised)
                if to_hold < risk.WITHDRAWN_RISK:
                    self._raised.pop(segment, None)
                else:
                    self._raised[segment] = raised
        suspects = [segment for segment in LIVE if segment in self._raised]
        suspects.sort(key=lambda segment: -self._held(segment).bytes_per_second)
        state = self._next_state(firm, is_suspected=bool(suspects))
        if suspects:
            highest = max(risks[name] for name in suspects)
            return self._accuse(sample, state, suspects, highest)
        highest = max((value for name, value in risks.items() if name in LIVE), default=0.0)
        return self._acquit(state, highest)

    def _next_state(self, firm_risk: float, *, is_suspected: bool) -> LeakState:
        state = self._verdict.state
        if firm_risk >= risk.CONFIRMED_RISK:
            return "confirmed"
        if is_suspected:
            return "confirmed" if state == "confirmed" else "suspected"
        if state == "confirmed":
            self._recovered_at = self._tick_count
            return "recovered"
        is_long = self._tick_count - self._recovered_at >= _RECOVERED_TICKS
        return "recovered" if state == "recovered" and not is_long else "quiet"

    def _accuse(
        self, sample: MemorySample, state: LeakState, suspects: list[Segment], highest_risk: float
    ) -> LeakVerdict:
        growth = tuple(Growth(name, self._held(name).bytes_per_second) for name in suspects)
        return LeakVerdict(
            state,
            highest_risk,
            suspects[0],
            growth,
            _time_to_exhaustion(sample, growth),
            words.accusation(suspects[0], self._held(suspects[0])),
        )

    def _acquit(self, state: LeakState, highest_risk: float) -> LeakVerdict:
        live = {name: self._watches[name] for name in LIVE if name in self._watches}
        withdrawal = "the alarm is withdrawn: " if state == "recovered" else ""
        growing = [
            (name, watch.best(is_raised=False))
            for name, watch in live.items()
            if watch.best(is_raised=False).raise_score > risk.IMPLAUSIBLE
        ]
        if "retained" in self._raised and not growing:
            reason = withdrawal + words.fragmentation(self._held("retained"))
            return LeakVerdict(state, highest_risk, "retained", (), None, reason)
        if growing:
            name, judgement = max(growing, key=lambda each: each[1].raise_score)
            reason = withdrawal + words.too_early(name, judgement)
            return LeakVerdict(state, highest_risk, reason=reason)
        reason = words.innocence([(name, watch.tallest()) for name, watch in live.items()])
        return LeakVerdict(state, highest_risk, reason=withdrawal + reason)

    def _held(self, segment: Segment) -> Judgement:
        return self._watches[segment].longest_held()


def _time_to_exhaustion(sample: MemorySample, growth: tuple[Growth, ...]) -> float | None:
    pace = sum(each.bytes_per_second for each in growth)
    if sample.headroom_bytes is None or pace <= 0:
        return None
    return sample.headroom_bytes / pace


def _plain(verdict: LeakVerdict) -> dict[str, Any]:
    return {
        "state": verdict.state,
        "risk": verdict.risk,
        "segment": verdict.segment,
        "growth": [[each.segment, each.bytes_per_second] for each in verdict.growth],
        "time_to_exhaustion_seconds": verdict.time_to_exhaustion_seconds,
        "reason": verdict.reason,
    }


def _restored_verdict(saved: dict[str, Any]) -> LeakVerdict:
    state, segment = saved["state"], saved["segment"]
    seconds = saved["time_to_exhaustion_seconds"]
    growth = [Growth(name, number(pace)) for name, pace in items(saved["growth"], _MOST_GROWTHS)]
    if (
        state not in get_args(LeakState)
        or (segment is not None and segment not in WATCHED)
        or any(each.segment not in LIVE for each in growth)
    ):
        raise ValueError("damaged detector state: not a verdict")
    return LeakVerdict(
        state,
        min(number(saved["risk"], least=0), 1.0),
        segment,
        tuple(growth),
        None if seconds is None else number(seconds, least=0),
        text(saved["reason"]),
    )
