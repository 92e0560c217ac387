"""A picture of one series: where its memory was, what was kept, what the detector thought."""

from __future__ import annotations

import textwrap
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from opentelemetry.instrumentation.memory._commands.analyze import figures
from opentelemetry.instrumentation.memory._commands.analyze.problems import printable
from opentelemetry.instrumentation.memory.model import SEGMENTS

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.instrumentation.memory._commands.analyze.analysis import SeriesOutcome
    from opentelemetry.instrumentation.memory._commands.analyze.course import Course, Point
    from opentelemetry.instrumentation.memory.model import Segment

# Okabe and Ito's colors, which differ for color-blind eyes too.
_COLORS: Final[dict[str, str]] = {
    "python_heap": "#0072b2",
    "native_heap": "#e69f00",
    "retained": "#d55e00",
    "other_anonymous": "#cc79a7",
    "file": "#009e73",
    "shared": "#f0e442",
}
_STATE_COLORS: Final = {
    "warming_up": "#eeeeee",
    "quiet": "#ffffff",
    "suspected": "#fff0c2",
    "confirmed": "#f9c9c0",
    "recovered": "#d6ecf7",
}
_MEBIBYTE: Final = 2**20
_SECONDS_A_DAY: Final = 86400.0
_SUSPECTED, _CONFIRMED = 0.5, 0.9
_MOST_ALARM_LINES: Final = 20
# A limit further away than that would press the series to the ground.
_LIMIT_IN_SIGHT: Final = 2.0
_AXIS_UNITS: Final = (
    (3 * 86400.0, 86400.0, "days"),
    (2 * 3600.0, 3600.0, "hours"),
    (300.0, 60.0, "minutes"),
    (0.0, 1.0, "seconds"),
)


def draw(name: str, outcome: SeriesOutcome, path: Path) -> None:
    """Draw a series to a file; its name's ending says which kind.

    Raises:
        OSError: The file cannot be written.
        ValueError: There is no such kind of picture.
    """
    course = outcome.course
    if course is None or not course.points:
        raise ValueError("the course of the series was not kept")
    picture = Figure(figsize=(11, 8), layout="constrained", dpi=110)
    whole, kept, risk = picture.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [4, 3, 2]}
    )
    clock = _Clock(course.points)
    times = [clock.place(point.time) for point in course.points]
    for axes in (whole, kept, risk):
        _draw_alarms(axes, outcome, clock, "leak declared" if axes is whole else None)
    _draw_segments(whole, times, course.points)
    _draw_kept(kept, times, course, outcome, clock)
    _draw_risk(risk, times, course, clock)
    for axes in (whole, kept, risk):
        axes.margins(x=0)
        axes.grid(visible=True, alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in (whole, kept):
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylabel("MiB")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    clock.label(risk)
    picture.suptitle(_title(name, outcome), x=0.01, ha="left", fontsize=12, fontweight="bold")
    whole.set_title(
        "\n".join(textwrap.wrap(outcome.judgement.reason, 120)), loc="left", fontsize=10
    )
    picture.savefig(path)


class _Clock:
    """Where a moment is on the axis: dates for calendar time, else a unit that suits the span."""

    def __init__(self, points: list[Point]) -> None:
        self.is_calendar = points[0].time > figures.CALENDAR_SECONDS
        span = points[-1].time - points[0].time
        self._unit, self._unit_name = next(
            (length, name) for least, length, name in _AXIS_UNITS if span >= least
        )

    def place(self, seconds: float) -> float:
        return seconds / (_SECONDS_A_DAY if self.is_calendar else self._unit)

    def label(self, axes: Any) -> None:
        if self.is_calendar:
            locator = AutoDateLocator()  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(locator)
            formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_formatter(formatter)
        axes.set_xlabel("UTC" if self.is_calendar else self._unit_name)


def _title(name: str, outcome: SeriesOutcome) -> str:
    judgement = outcome.judgement
    what = printable(f"{name} {outcome.series}".strip())
    # Between dollar signs matplotlib sees a formula.
    what = textwrap.shorten(what, 90, placeholder=" …").replace("$", r"\$")
    if not judgement.leak:
        verdict = f"no leak ({judgement.state.replace('_', ' ')})"
        if judgement.alarms_seconds:
            verdict += f", one was declared at {figures.moment(judgement.declared_at_seconds)}"
        return f"{what}: {verdict}"
    return (
        f"{what}: LEAK in {judgement.segment}, declared at "
        f"{figures.moment(judgement.declared_at_seconds)}, "
        f"{figures.rate(judgement.growth_bytes_per_second)}"
    )


def _draw_segments(axes: Any, times: list[float], points: list[Point]) -> None:
    present = [name for name in SEGMENTS if any(name in point.segments for point in points)]
    layers = [[point.segments.get(name, 0) / _MEBIBYTE for point in points] for name in present]
    axes.stackplot(
        times,
        *layers,
        labels=present,
        colors=[_COLORS[name] for name in present],
        alpha=0.85,
        linewidth=0,
    )
    resident = [point.resident / _MEBIBYTE for point in points]
    axes.plot(times, resident, color="black", linewidth=0.9, label="resident set")
    limits = [None if point.limit is None else point.limit / _MEBIBYTE for point in points]
    known = [limit for limit in limits if limit is not None]
    if known and min(known) < _LIMIT_IN_SIGHT * max(resident):
        drawn = [float("nan") if limit is None else limit for limit in limits]
        axes.plot(times, drawn, color="#aa0000", linestyle="--", linewidth=1.2, label="limit")
    elif known:
        axes.plot([], [], " ", label=f"limit {figures.size(known[-1] * _MEBIBYTE)}\n(not in sight)")
    axes.set_ylim(bottom=0)


def _draw_kept(
    axes: Any, times: list[float], course: Course, outcome: SeriesOutcome, clock: _Clock
) -> None:
    """Draw the segment that the verdict is about, and what of it was never given back."""
    points = course.points
    name = outcome.judgement.segment or _moved_most(points)
    values = [point.segments.get(name, 0) / _MEBIBYTE for point in points]
    floor = list(accumulate(reversed(values), min))[::-1]
    axes.plot(times, values, color=_COLORS[name], linewidth=1.0, label=name)
    axes.plot(
        times,
        floor,
        color="black",
        linewidth=1.2,
        linestyle=":",
        label="never given back\n(as seen from the end)",
    )
    growth = (
        [each for each in course.verdict.growth if each.segment == name]
        if (course.verdict is not None)
        else []
    )
    if growth:
        pace = growth[0].bytes_per_second
        begin = outcome.judgement.declared_at_seconds or points[0].time
        end = points[-1]
        rise = pace * (end.time - begin) / _MEBIBYTE
        axes.plot(
            [clock.place(begin), clock.place(end.time)],
            [floor[-1] - rise, floor[-1]],
            color="#aa0000",
            linewidth=1.6,
            linestyle="--",
            label=f"growth {figures.rate(pace)}",
        )


def _moved_most(points: list[Point]) -> Segment:
    def movement(name: Segment) -> int:
        values = [point.segments.get(name, 0) for point in points]
        return max(values) - min(values)

    return max(points[-1].segments, key=movement)


def _draw_risk(axes: Any, times: list[float], course: Course, clock: _Clock) -> None:
    axes.plot(times, [point.risk for point in course.points], color="black", linewidth=1.2)
    for level, name in ((_SUSPECTED, "suspected"), (_CONFIRMED, "confirmed")):
        axes.axhline(level, color="#888888", linewidth=0.8, linestyle="--")
        axes.annotate(
            f"{name} from {level:g}",
            (1.005, level),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
        )
    ends = [time for time, _ in course.changes[1:]] + [course.points[-1].time]
    seen = set()
    for (begin, state), end in zip(course.changes, ends, strict=True):
        label = None if state in seen or state == "quiet" else state.replace("_", " ")
        seen.add(state)
        axes.axvspan(
            clock.place(begin), clock.place(end), color=_STATE_COLORS[state], label=label, zorder=0
        )
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("risk")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5, frameon=False, fontsize=9)


def _draw_alarms(axes: Any, outcome: SeriesOutcome, clock: _Clock, name: str | None) -> None:
    alarms = outcome.judgement.alarms_seconds[-_MOST_ALARM_LINES:]
    for number, alarm in enumerate(alarms):
        label = None if number else name
        axes.axvline(clock.place(alarm), color="#aa0000", linewidth=1.2, label=label)
