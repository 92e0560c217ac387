"""The command that `make bench-detection` calls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import judges
import pytest
import report
from judges import DetectorUnavailableError, new_detector, new_judge, opinions, truth
from scoring import judge_run
from series import labels, load

EVALUATE = Path(__file__).parents[3] / "benchmarks" / "detection" / "evaluate.py"


def evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EVALUATE), "--jobs", "1", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_series_and_one_rule_give_one_line() -> None:
    done = evaluate("--only", "ok_idle_run", "--judge", "deriv 1h > 0")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "ok_idle_run  deriv 1h > 0: found None, false alarms 0, delay -, risk 0.00, segment None\n"
    )


def test_unknown_series_is_named() -> None:
    done = evaluate("--only", "nothing", "--judge", "ratio rule")
    assert done.returncode == 1
    assert "no such series: nothing" in done.stderr


def test_missing_detector_is_said_and_its_rivals_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "DETECTOR_MODULE", "opentelemetry.instrumentation.memory.nowhere")
    with pytest.raises(DetectorUnavailableError, match="nowhere"):
        new_detector()
    assert new_judge("ratio rule")


def test_markdown_table_has_a_line_for_every_judge() -> None:
    series = load(next(label for label in labels() if label.name == "leak_rss_run"))
    outcome = judge_run(truth(series), opinions("Mann-Kendall, scaled", series))
    lines = report.comparison([("one", [outcome]), ("two", [outcome])], markdown=True).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("| judge | precision | recall |")
    assert {line.count("|") for line in lines} == {len(report.HEADINGS) + 2}
