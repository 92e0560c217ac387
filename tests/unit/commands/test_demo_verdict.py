"""What the demo says of the verdict: on the screen, in lines, and at the end."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from opentelemetry.instrumentation.memory._commands.demo.load import Opinion, PhaseStart
from opentelemetry.instrumentation.memory._commands.demo.phases import LEAK, PHASES
from opentelemetry.instrumentation.memory._commands.demo.plain import PlainDisplay
from opentelemetry.instrumentation.memory._commands.demo.play import (
    Scene,
    export_seconds,
    sampling_seconds,
)
from opentelemetry.instrumentation.memory._commands.demo.recording import (
    EXHAUSTION_METRIC,
    GROWTH_METRIC,
    LIMIT_METRIC,
    RISK_METRIC,
    SEGMENT_ATTRIBUTE,
    SEGMENT_METRIC,
    USAGE_METRIC,
    Export,
    LeakEvent,
    Point,
    Recording,
)
from opentelemetry.instrumentation.memory._commands.demo.screen import WIDTH, picture
from opentelemetry.instrumentation.memory._commands.demo.summary import summary
from opentelemetry.instrumentation.memory._commands.demo.verdict import conclusion, growth

MEBIBYTE = 2**20
LEAK_BEGAN_SECONDS = 30.0
QUIET = "native heap grew, but most of the growth came in a single step"
GUILTY = "python heap has grown by 38.0 MiB in 16 s (8.3 GiB/h) and keeps its pace"
LIMIT_SECONDS = 170.0
CONFIRMED = LeakEvent(
    46.0, 7, "confirmed", 0.93, GUILTY, "python_heap", 2.375 * MEBIBYTE, LIMIT_SECONDS
)


def export_of(risk: float, at_seconds: float = 0.0, *, leaks: bool = False) -> Export:
    points = [
        Point(SEGMENT_METRIC, 40 * MEBIBYTE, {SEGMENT_ATTRIBUTE: "python_heap"}),
        Point(USAGE_METRIC, 40 * MEBIBYTE, {}),
        Point(LIMIT_METRIC, 512 * MEBIBYTE, {}),
        Point(RISK_METRIC, risk, {}),
    ]
    if leaks:
        where = {SEGMENT_ATTRIBUTE: "python_heap"}
        points.append(Point(GROWTH_METRIC, 2.375 * MEBIBYTE, where))
        points.append(Point(EXHAUSTION_METRIC, LIMIT_SECONDS, {}))
    return Export(at_seconds, 7, tuple(points))


def scene_of(
    *events: LeakEvent,
    exports: tuple[Export, ...] = (export_of(0.0),),
    opinion: Opinion | None = None,
    has_leak: bool = True,
) -> Scene:
    starts = [PhaseStart(PHASES[0], 0.0)]
    if has_leak:
        starts.append(PhaseStart(LEAK, LEAK_BEGAN_SECONDS))
    recording = Recording(list(exports), list(events))
    return Scene(0.0, 60.0, 60.0, tuple(starts), recording, 12, 0.1, opinion)


def screen_of(scene: Scene) -> str:
    console = Console(file=io.StringIO(), record=True, width=WIDTH)
    console.print(picture(scene))
    return console.export_text()


def test_the_screen_says_why_a_quiet_process_is_quiet() -> None:
    shown = screen_of(scene_of(opinion=Opinion("quiet", QUIET)))
    assert "0.00" in shown
    assert "quiet" in shown
    assert "most of the growth came in a" in shown
    assert "nothing is under suspicion" in shown
    assert "none so far" in shown


def test_the_screen_shows_a_verdict_with_its_course_and_its_events() -> None:
    exports = tuple(export_of(risk, leaks=risk > 0.5) for risk in (0.0, 0.0, 0.6, 0.97))
    events = (replace(CONFIRMED, state="suspected", risk=0.6), CONFIRMED)
    shown = screen_of(scene_of(*events, exports=exports, opinion=Opinion("confirmed", GUILTY)))
    for told in (
        "0.97  confirmed   ▁▁▅█",
        "python_heap 2.4 MiB/s, the limit of 512.0 MiB is reached in 2.8 min",
        "python heap has grown by 38.0 MiB in 16 s",
        "suspected, risk 0.60",
        "46 s  confirmed, risk 0.93, python_heap grows by 2.4 MiB/s",
    ):
        assert told in shown


@pytest.mark.parametrize("reason", ["short", "word " * 60])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_the_screen_keeps_its_height_whatever_is_said(reason: str, count: int) -> None:
    shown = screen_of(scene_of(*[CONFIRMED] * count, opinion=Opinion("quiet", reason)))
    assert len(shown.splitlines()) == len(screen_of(scene_of()).splitlines()) <= 24


def test_plain_lines_hold_events_and_each_kind_of_reason_once() -> None:
    output = io.StringIO()
    rising = [f"python heap has grown by {amount} MiB in 3 s, too little" for amount in (1, 2)]
    with PlainDisplay(output) as display:
        for reason in (QUIET, QUIET, *rising):
            display.show(scene_of(opinion=Opinion("quiet", reason)))
        display.show(scene_of(CONFIRMED, opinion=Opinion("confirmed", GUILTY)))
    lines = output.getvalue().splitlines()
    assert sum(QUIET in line for line in lines) == 1
    assert sum("too little" in line for line in lines) == 1
    (event,) = [line for line in lines if "event: " in line]
    assert event.startswith(" 46.0 s  event: confirmed, risk 0.93, python_heap grows by 2.4 MiB/s")
    assert event.endswith(GUILTY)


def test_a_line_has_risk_state_and_growth() -> None:
    output = io.StringIO()
    with PlainDisplay(output) as display:
        opinion = Opinion("confirmed", GUILTY)
        display.show(scene_of(exports=(export_of(0.97, leaks=True),), opinion=opinion))
    (line,) = [line for line in output.getvalue().splitlines() if " rss " in line]
    assert "; risk 0.97 confirmed; python_heap 2.4 MiB/s, the limit" in line


def test_the_end_tells_a_confirmed_leak_with_delay_reason_and_growth() -> None:
    told = conclusion(scene_of(CONFIRMED, exports=(export_of(0.97, leaks=True),)))
    assert "leak confirmed 16 s after it began, at 46 s; risk 0.93" in told
    assert GUILTY in told
    assert "At the end: python_heap 2.4 MiB/s" in told


@pytest.mark.parametrize(
    ("opinion", "told"),
    [
        (None, "Verdict: none, nothing confirmed."),
        (Opinion("quiet", QUIET), "Verdict: quiet, nothing confirmed."),
        (Opinion("suspected", GUILTY), "Verdict: suspected, not confirmed."),
    ],
)
def test_the_end_does_not_claim_what_was_not_confirmed(opinion: Opinion | None, told: str) -> None:
    said = conclusion(scene_of(opinion=opinion))
    assert said.startswith(told)
    assert "too short" in said
    assert "about 300" in said


def test_a_last_export_that_is_newer_than_the_last_answer_is_believed() -> None:
    said = conclusion(scene_of(exports=(export_of(0.6),), opinion=Opinion("quiet", QUIET)))
    assert said.startswith("Verdict: suspected, not confirmed.")


def test_a_run_that_ended_before_the_leak_says_so() -> None:
    assert "before the leak began" in conclusion(scene_of(has_leak=False))


def test_an_alarm_before_the_leak_is_told_and_is_not_taken_for_the_verdict() -> None:
    early = replace(CONFIRMED, arrived_at_seconds=12.0)
    told = summary(scene_of(early))
    assert "Before the leak, at 12 s: confirmed, risk 0.93" in told
    assert "leak confirmed" not in told


def test_growth_without_a_limit_has_no_end() -> None:
    assert growth(export_of(0.1)) == ""


def test_a_run_has_as_many_samples_whatever_its_length() -> None:
    assert sampling_seconds(60) == 0.1
    assert sampling_seconds(600) == 1.0
    assert sampling_seconds(1) >= 0.05
    assert export_seconds(6) < export_seconds(60) < export_seconds(86_400) <= 5
