"""What the demo shows, from recordings made by hand."""

from __future__ import annotations

import io

from rich.console import Console

from opentelemetry.instrumentation.memory import SEGMENTS
from opentelemetry.instrumentation.memory._commands.demo.load import PhaseStart, requests_due
from opentelemetry.instrumentation.memory._commands.demo.phases import LEAK, PHASES
from opentelemetry.instrumentation.memory._commands.demo.plain import PlainDisplay
from opentelemetry.instrumentation.memory._commands.demo.play import Scene
from opentelemetry.instrumentation.memory._commands.demo.recording import (
    CPU_METRIC,
    SEGMENT_ATTRIBUTE,
    SEGMENT_METRIC,
    USAGE_METRIC,
    Export,
    Point,
    Recording,
)
from opentelemetry.instrumentation.memory._commands.demo.screen import (
    WIDTH,
    bar,
    picture,
    sparkline,
)
from opentelemetry.instrumentation.memory._commands.demo.summary import summary

MEBIBYTE = 2**20


def export_of(*segments: int, at_seconds: float = 0.0, cpu_seconds: float = 0.0) -> Export:
    """Return an export of the first segments, in MiB, that adds up."""
    points = [
        Point(SEGMENT_METRIC, value * MEBIBYTE, {SEGMENT_ATTRIBUTE: segment})
        for segment, value in zip(SEGMENTS, segments, strict=False)
    ]
    points.append(Point(USAGE_METRIC, sum(segments) * MEBIBYTE, {}))
    points.append(Point(CPU_METRIC, cpu_seconds, {}))
    return Export(at_seconds, 7, tuple(points))


def scene_of(*exports: Export, phases: int = 1) -> Scene:
    starts = tuple(PhaseStart(phase, float(at)) for at, phase in enumerate(PHASES[:phases]))
    return Scene(0.0, 3.0, 60.0, starts, Recording(list(exports)), 12, sampling_seconds=0.1)


def text_of(scene: Scene) -> str:
    console = Console(file=io.StringIO(), record=True, width=WIDTH)
    console.print(picture(scene))
    return console.export_text()


def test_a_bar_is_as_long_as_its_share() -> None:
    assert bar(0.5, 8) == "████    "
    assert bar(1.5, 4) == "████"
    assert bar(-1.0, 4) == "    "
    assert bar(1 / 16, 2) == "▏ "


def test_a_sparkline_ends_with_the_newest_value_and_loses_no_peak() -> None:
    assert sparkline([0, 4, 8], 3) == "▁▅█"
    assert "█" in sparkline([1.0] * 50 + [9.0] + [1.0] * 50, 10)
    assert len(sparkline([1.0] * 101, 10)) == 10
    assert sparkline([], 5) == "     "


def test_a_sparkline_does_not_magnify_noise() -> None:
    assert sparkline([1.0, 2.0, 1.0], 3, smallest_scale=100.0) == "▁▁▁"


def test_the_screen_names_phase_and_every_segment_and_fits_a_small_terminal() -> None:
    shown = text_of(scene_of(export_of(10, 20, 5, 1, 4, 0), phases=2))
    assert PHASES[1].title in shown
    assert all(segment in shown for segment in SEGMENTS)
    assert "40.0 MiB resident" in shown
    assert len(shown.splitlines()) <= 24
    assert max(map(len, shown.splitlines())) <= 80


def test_a_segment_that_is_absent_is_shown_as_unknown() -> None:
    assert "unknown" in text_of(scene_of(export_of(10, 20)))


def test_the_screen_waits_for_the_first_export() -> None:
    assert "waiting" in text_of(scene_of())


def test_plain_lines_come_once_each_in_order() -> None:
    output = io.StringIO()
    exports = [export_of(10, 20, 5, 1, 4, 0, at_seconds=at) for at in (1.0, 2.0)]
    with PlainDisplay(output) as display:
        display.show(scene_of(exports[0]))
        display.show(scene_of(*exports, phases=2))
        display.show(scene_of(*exports, phases=2))
    lines = output.getvalue().splitlines()
    assert len([line for line in lines if line.startswith("phase ")]) == 2
    assert len([line for line in lines if " rss 40.0 = python_heap 10.0 + " in line]) == 2


def test_the_summary_tells_whether_all_exports_add_up_and_what_watching_cost() -> None:
    first = export_of(10, 20, 5, 1, 4, 0)
    last = export_of(30, 20, 5, 1, 4, 0, at_seconds=10.0, cpu_seconds=0.01)
    told = summary(scene_of(first, last))
    assert "in all 2 exports" in told
    assert "10.0 ms of CPU, 0.1 % of one core" in told


def test_the_summary_does_not_hide_an_export_that_does_not_add_up() -> None:
    wrong = Export(1.0, 7, (*export_of(1, 1).points[:-2], Point(USAGE_METRIC, 1.0, {})))
    assert "in 1 of 2 exports" in summary(scene_of(export_of(1, 1), wrong))


def test_an_export_without_segments_does_not_count_as_exact() -> None:
    assert not Export(0.0, 7, (Point(USAGE_METRIC, 0.0, {}),)).is_exact


def test_phases_fill_the_run_and_each_segment_has_one() -> None:
    assert abs(sum(phase.share for phase in PHASES) - 1) < 1e-9
    assert {segment for phase in PHASES for segment in phase.segments} == set(SEGMENTS)


def test_the_leak_comes_last_and_goes_on_to_the_end() -> None:
    assert PHASES[-1] is LEAK
    assert requests_due(LEAK, 9.9, 10.0) < LEAK.requests == requests_due(LEAK, 10.0, 10.0)


def test_each_phase_is_explained_in_one_line_of_the_screen() -> None:
    assert all(len(phase.meaning) <= WIDTH - 4 for phase in PHASES)


def test_requests_are_spread_over_a_phase_and_all_of_them_are_sent() -> None:
    phase = PHASES[1]
    due = [requests_due(phase, elapsed, 10.0) for elapsed in range(11)]
    assert due[0] == 0
    assert due == sorted(due)
    assert due[5] < phase.requests == due[8] == due[10]
