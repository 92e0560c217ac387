"""From what a judge said, sample by sample, to the figures of the table. No judge, no files.

The rules, in words:

* A judge is asked at every sample. Alarms during the first 10 % of a run are not held against
  it; an alarm that is still on afterwards is.
* A leak is *found* when the alarm is on at the end of its run. A leak that stops is found when
  the alarm was on at some moment between its start and the end of the run.
* A *false alarm* is an alarm that is on before the leak begins, or at any time in a healthy run.
  A healthy run with one counts as one false positive; so does a leaking run, beside its being
  found or missed.
* Delay runs from the leak's beginning to the first alarm after it that was not on before, as a
  share of the whole run; leaks whose alarm was on already have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WARM_UP_SHARE = 0.10
MOMENTS = 20
BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
NO_SEGMENTS = "this rule names no segment"
SEGMENTS = {"python": "python_heap", "native": "native_heap", "mapped": "other_anonymous"}


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge thinks after one sample."""

    is_alarm: bool
    risk: float
    segment: str | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """What is so; seconds on the clock of the samples."""

    begin: float
    end: float
    leak_start: float | None = None
    leak_stop: float | None = None
    segment: str = "none"

    def is_leaking(self, moment: float) -> bool:
        """Return whether memory is being lost at that moment."""
        if self.leak_start is None or moment <= self.leak_start:
            return False
        return self.leak_stop is None or moment <= self.leak_stop


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a judge did on one run.

    Attributes:
        is_found: None for a healthy run.
        delay_share: From the leak's beginning to its alarm, as a share of the run.
        false_alarms: Number of onsets (and alarms carried out of the warm-up) that were wrong.
        healthy_hours: Time in which an alarm would have been false.
        final_risk: At the end of the run, or when the leak stopped.
        is_segment_right: None where the rule names no segment or the truth is not known.
        moments: (risk, whether memory was being lost) at evenly spaced moments after warm-up.
    """

    is_leak: bool
    is_found: bool | None
    is_alarm_at_end: bool
    delay_share: float | None
    false_alarms: int
    healthy_hours: float
    final_risk: float
    is_segment_right: bool | None
    moments: tuple[tuple[float, bool], ...] = ()


def judge_run(truth: Truth, opinions: Sequence[tuple[float, Opinion]]) -> Outcome:
    """Return the outcome of one run from (seconds, opinion) pairs in order of time."""
    span = truth.end - truth.begin
    warm = truth.begin + WARM_UP_SHARE * span
    start = truth.leak_start
    healthy_until = truth.end if start is None else start
    onset = None
    false_alarms = 0
    found_segment = None
    was_on, was_on_in_leak, counted = False, False, False
    for moment, opinion in opinions:
        is_on = opinion.is_alarm
        if not is_on:
            counted = False
        is_false = is_on and warm < moment <= healthy_until
        if is_false and not counted:
            false_alarms += 1
            counted = True
        if start is not None and moment > start and is_on:
            was_on_in_leak = True
            if onset is None and not was_on:
                onset = moment
            if truth.leak_stop is None or found_segment is None:
                found_segment = opinion.segment
        was_on = is_on
    last = opinions[-1][1]
    is_found = None
    if start is not None:
        is_found = last.is_alarm if truth.leak_stop is None else was_on_in_leak
    final = last
    if truth.leak_stop is not None:
        final = [opinion for moment, opinion in opinions if moment <= truth.leak_stop][-1]
    expected = SEGMENTS.get(truth.segment)
    return Outcome(
        is_leak=start is not None,
        is_found=is_found,
        is_alarm_at_end=last.is_alarm,
        delay_share=(onset - start) / span
        if is_found and onset is not None and start is not None
        else None,
        false_alarms=false_alarms,
        healthy_hours=max(0.0, healthy_until - warm) / 3600,
        final_risk=final.risk,
        is_segment_right=found_segment == expected
        if is_found and expected and found_segment != NO_SEGMENTS
        else None,
        moments=_moments(truth, opinions, warm),
    )


def _moments(
    truth: Truth, opinions: Sequence[tuple[float, Opinion]], warm: float
) -> tuple[tuple[float, bool], ...]:
    out = []
    step = (truth.end - warm) / MOMENTS
    due = warm + step
    for moment, opinion in opinions:
        if moment >= due - 1e-9 * abs(due):
            out.append((opinion.risk, truth.is_leaking(moment)))
            while due <= moment:
                due += step
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Figures:
    """The table's line for a set of runs; None where there is nothing to divide by."""

    runs: int
    leaks: int
    found: int
    false_positives: int
    precision: float | None
    recall: float | None
    f1: float | None
    f1_at_end: float | None
    median_delay: float | None
    false_alarms_per_hour: float | None
    healthy_alarmed: int
    brier: float
    segment_accuracy: float | None


def _f1(hits: int, false: int, misses: int) -> float | None:
    return 2 * hits / (2 * hits + false + misses) if hits + false + misses else None


def figures(outcomes: Sequence[Outcome]) -> Figures:
    """Return the figures of at least one run."""
    leaks = [outcome for outcome in outcomes if outcome.is_leak]
    healthy = [outcome for outcome in outcomes if not outcome.is_leak]
    found = sum(bool(outcome.is_found) for outcome in leaks)
    false = sum(outcome.false_alarms > 0 for outcome in outcomes)
    hours = sum(outcome.healthy_hours for outcome in outcomes)
    delays = [outcome.delay_share for outcome in leaks if outcome.delay_share is not None]
    named = [o.is_segment_right for o in leaks if o.is_segment_right is not None]
    end_false = sum(outcome.is_alarm_at_end for outcome in healthy)
    return Figures(
        runs=len(outcomes),
        leaks=len(leaks),
        found=found,
        false_positives=false,
        precision=found / (found + false) if found + false else None,
        recall=found / len(leaks) if leaks else None,
        f1=_f1(found, false, len(leaks) - found),
        f1_at_end=_f1(found, end_false, len(leaks) - found),
        median_delay=median(delays) if delays else None,
        false_alarms_per_hour=sum(o.false_alarms for o in outcomes) / hours if hours else None,
        healthy_alarmed=sum(outcome.false_alarms > 0 for outcome in healthy),
        brier=brier((outcome.final_risk, outcome.is_leak) for outcome in outcomes),
        segment_accuracy=fmean(named) if named else None,
    )


def brier(pairs: Iterable[tuple[float, bool]]) -> float:
    """Return the mean squared distance of risk from what came true."""
    return fmean((risk - happened) ** 2 for risk, happened in pairs)


@dataclass(frozen=True, slots=True)
class Bin:
    """Verdicts of similar risk: how many, their mean risk, and how many of them were leaks."""

    low: float
    high: float
    count: int
    mean_risk: float | None
    leak_share: float | None


def reliability(pairs: Iterable[tuple[float, bool]]) -> list[Bin]:
    """Return the reliability table; the last bin includes 1."""
    known = list(pairs)
    table = []
    for low, high in pairwise(BINS):
        inside = [p for p in known if low <= p[0] < high or (high == BINS[-1] and p[0] == high)]
        table.append(
            Bin(
                low,
                high,
                len(inside),
                fmean(risk for risk, _ in inside) if inside else None,
                fmean(happened for _, happened in inside) if inside else None,
            )
        )
    return table
