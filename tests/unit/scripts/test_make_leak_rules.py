"""One parameter makes the file of leak rules: how far apart the samples of a process are."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from scripts.make_leak_rules import DEFAULT_SAMPLE_SECONDS, duration, rules
from tests import tools

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "make_leak_rules.py"
DURATION = re.compile(r"(?<=[\[: ])(\d+)(ms|s|m|h)\b")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def windows(sample_seconds: float) -> list[float]:
    """Return every duration of the expressions, in samples and in order."""
    groups = yaml.safe_load(rules(sample_seconds))["groups"]
    found = [
        float(number) * SECONDS[unit]
        for group in groups
        for rule in group["rules"]
        for number, unit in DURATION.findall(rule["expr"])
    ]
    return [each / sample_seconds for each in found]


def test_shipped_file_is_what_the_script_prints() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == (ROOT / "collector-config" / "rules" / "leak.yaml").read_text()


def test_shipped_file_is_for_the_interval_at_which_an_sdk_exports_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OTEL_METRIC_EXPORT_INTERVAL", raising=False)
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter(out=io.StringIO()))
    MeterProvider([reader]).shutdown()
    assert reader._export_interval_millis == DEFAULT_SAMPLE_SECONDS * 1000


def test_shipped_file_looks_back_no_further_than_prometheus_keeps_by_default() -> None:
    kept_days = 15
    longest_days = max(windows(DEFAULT_SAMPLE_SECONDS)) * DEFAULT_SAMPLE_SECONDS / 86_400
    assert longest_days < kept_days
    assert f"looks back {longest_days:g} days" in (ROOT / "docs" / "leak-rules.md").read_text()


@pytest.mark.parametrize("sample_seconds", [0.5, 7, 30, 3600])
def test_windows_are_as_many_samples_long_at_any_interval(sample_seconds: float) -> None:
    expected = windows(DEFAULT_SAMPLE_SECONDS)
    assert len(expected) > 60
    assert windows(sample_seconds) == pytest.approx(expected)


@pytest.mark.parametrize("sample_seconds", [0.1, 0.5, 7, 3600])
def test_file_for_another_interval_is_valid(sample_seconds: float, tmp_path: Path) -> None:
    path = tmp_path / "leak.yaml"
    path.write_text(rules(sample_seconds))
    check = [tools.promtool(), "check", "rules", path]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("seconds", "text"), [(7200, "2h"), (5400, "90m"), (100, "100s"), (0.25, "250ms")]
)
def test_duration_is_exact_in_the_largest_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("seconds", ["0", "-1", "3601", "nan"])
def test_interval_that_makes_no_sense_is_refused(seconds: str) -> None:
    command = [sys.executable, SCRIPT, f"--sample-seconds={seconds}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected 0.1 to 3600" in done.stderr
