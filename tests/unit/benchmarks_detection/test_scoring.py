"""The arithmetic of the table, on verdicts written by hand."""

from __future__ import annotations

import pytest
from scoring import NO_SEGMENTS, Opinion, Truth, brier, figures, judge_run, reliability

QUIET = Opinion(is_alarm=False, risk=0.1)
ALARM = Opinion(is_alarm=True, risk=0.95, segment="python_heap")
HEALTHY = Truth(begin=0, end=100)
LEAK = Truth(begin=0, end=100, leak_start=40, segment="python")
STOPPING = Truth(begin=0, end=100, leak_start=40, leak_stop=70, segment="python")


def said(*alarms: tuple[int, int], alarm: Opinion = ALARM) -> list[tuple[float, Opinion]]:
    """One opinion a second; alarms are on from the first to before the second number."""
    return [
        (float(second), alarm if any(on <= second < off for on, off in alarms) else QUIET)
        for second in range(101)
    ]


def test_leak_with_alarm_at_the_end_is_found_with_its_delay() -> None:
    outcome = judge_run(LEAK, said((55, 101)))
    assert outcome.is_found
    assert outcome.delay_share == pytest.approx(0.15)
    assert outcome.false_alarms == 0
    assert outcome.is_segment_right


def test_leak_whose_alarm_is_withdrawn_is_missed() -> None:
    outcome = judge_run(LEAK, said((55, 90)))
    assert outcome.is_found is False
    assert outcome.delay_share is None


def test_stopped_leak_is_found_when_it_was_confirmed_in_time() -> None:
    outcome = judge_run(STOPPING, said((60, 80)))
    assert outcome.is_found
    assert outcome.delay_share == pytest.approx(0.2)
    assert outcome.final_risk == pytest.approx(0.95)


def test_stopped_leak_that_was_never_confirmed_is_missed() -> None:
    assert judge_run(STOPPING, said()).is_found is False


def test_alarm_before_the_leak_is_false_and_gives_no_delay() -> None:
    outcome = judge_run(LEAK, said((20, 101)))
    assert outcome.is_found
    assert outcome.false_alarms == 1
    assert outcome.delay_share is None


def test_delay_counts_from_the_first_alarm_that_was_not_on_before() -> None:
    outcome = judge_run(LEAK, said((20, 45), (60, 101)))
    assert outcome.false_alarms == 1
    assert outcome.delay_share == pytest.approx(0.2)


def test_alarm_within_the_first_tenth_is_excused() -> None:
    assert judge_run(HEALTHY, said((2, 10))).false_alarms == 0


def test_alarm_carried_out_of_the_first_tenth_is_false() -> None:
    assert judge_run(HEALTHY, said((2, 30))).false_alarms == 1


def test_every_onset_in_a_healthy_run_is_a_false_alarm() -> None:
    outcome = judge_run(HEALTHY, said((20, 22), (30, 33), (50, 51)))
    assert outcome.false_alarms == 3
    assert not outcome.is_alarm_at_end
    assert outcome.healthy_hours == pytest.approx(90 / 3600)


def test_wrong_segment_is_counted_and_unknown_truth_is_not() -> None:
    native = Truth(begin=0, end=100, leak_start=40, segment="native")
    unknown = Truth(begin=0, end=100, leak_start=40, segment="unknown")
    assert judge_run(native, said((50, 101))).is_segment_right is False
    assert judge_run(unknown, said((50, 101))).is_segment_right is None


def test_rule_that_names_no_segment_is_not_judged_by_it() -> None:
    nameless = Opinion(is_alarm=True, risk=1.0, segment=NO_SEGMENTS)
    assert judge_run(LEAK, said((50, 101), alarm=nameless)).is_segment_right is None


def test_confirmed_leak_without_its_segment_is_wrong_about_it() -> None:
    unnamed = Opinion(is_alarm=True, risk=1.0)
    assert judge_run(LEAK, said((50, 101), alarm=unnamed)).is_segment_right is False


def test_figures_of_a_mixed_set() -> None:
    outcomes = [
        judge_run(LEAK, said((50, 101))),
        judge_run(LEAK, said((60, 101))),
        judge_run(LEAK, said()),
        judge_run(LEAK, said((20, 101))),
        judge_run(HEALTHY, said()),
        judge_run(HEALTHY, said((50, 60))),
    ]
    line = figures(outcomes)
    assert (line.runs, line.leaks, line.found) == (6, 4, 3)
    assert line.false_positives == 2
    assert line.precision == pytest.approx(3 / 5)
    assert line.recall == pytest.approx(3 / 4)
    assert line.f1 == pytest.approx(2 * 3 / (2 * 3 + 2 + 1))
    assert line.f1_at_end == pytest.approx(2 * 3 / (2 * 3 + 0 + 1))
    assert line.median_delay == pytest.approx(0.15)
    assert line.healthy_alarmed == 1
    assert line.false_alarms_per_hour == pytest.approx(2 / ((4 * 30 + 2 * 90) / 3600))
    assert line.segment_accuracy == 1.0


def test_figures_of_quiet_runs_have_no_recall() -> None:
    line = figures([judge_run(HEALTHY, said())])
    assert line.precision is None
    assert line.recall is None
    assert line.f1 is None
    assert line.median_delay is None


def test_brier_score_is_the_mean_squared_distance() -> None:
    assert brier([(1.0, True), (0.0, False)]) == 0
    assert brier([(0.8, True), (0.4, False)]) == pytest.approx((0.04 + 0.16) / 2)


def test_reliability_table_counts_every_verdict_once_and_includes_one() -> None:
    table = reliability([(0.0, False), (0.05, False), (0.95, True), (1.0, True), (0.92, False)])
    assert sum(group.count for group in table) == 5
    assert table[-1].count == 3
    assert table[-1].leak_share == pytest.approx(2 / 3)
    assert table[2].mean_risk is None


def test_moments_tell_whether_memory_was_being_lost_then() -> None:
    outcome = judge_run(STOPPING, said((60, 80)))
    assert len(outcome.moments) == 20
    assert outcome.moments[0] == (0.1, False)
    assert outcome.moments[-1] == (0.1, False)
    assert sum(happened for _, happened in outcome.moments) == 7
