"""Real services in six languages: one family, leaking twins confirmed, healthy ones quiet.

By the watch, which asks the detector, and by the recording rules in Prometheus.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scripts.make_leak_rules import ONE_WINDOW
from tests import tools

RUN = Path(__file__).resolve().parents[2] / "examples" / "mixed_languages" / "run.py"
SUSPECTED, CONFIRMED = 0.5, 0.9
# What docs/languages.md says that each of them has, by the titles of the example's table.
COLUMNS = {
    "node": {"resident", "heap used", "committed", "external"},
    "go": {"heap used", "committed", "heap limit"},
    "python": {"resident", "heap used", "committed", "external"},
    "java": {"heap used", "committed", "heap limit", "external"},
    "rust": {"resident"},
    "cpp": {"resident", "heap used"},
}
RISKS = {"risk", "by rule", "highest risk", "highest by rule"}
each_language = pytest.mark.parametrize("language", COLUMNS)

Values = dict[str, float]


def run(*options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, RUN, *options],
        capture_output=True,
        text=True,
        check=False,
        env={**tools.clean_environment(), **(env or {})},
    )


@pytest.fixture(scope="module")
def fleet() -> dict[str, Any]:
    """Run all of them once, until every leak is confirmed or ten minutes have passed.

    Then two minutes more, so that healthy twins are judged for longer than it takes to see a leak.
    """
    tools.collector()
    tools.prometheus()
    result = run("--seconds", "600", "--until-confirmed", "--afterwards", "120", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    print(result.stdout)  # noqa: T201 - pytest shows it where a test fails
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def twin(fleet: dict[str, Any], language: str, name: str) -> Values:
    """Return what was seen of a service; where it could not be built the test is skipped."""
    if language in fleet["left_out"]:
        tools._missing(f"{language} was left out: {fleet['left_out'][language]}")
    values: Values = fleet["services"][f"{language}-{name}"]
    return values


@pytest.mark.timeout(1800)  # the first run builds all of them
@each_language
def test_leaking_twin_is_confirmed(fleet: dict[str, Any], language: str) -> None:
    assert twin(fleet, language, "leaking")["highest risk"] >= CONFIRMED


@pytest.mark.timeout(1800)
@each_language
def test_healthy_twin_stays_quiet(fleet: dict[str, Any], language: str) -> None:
    assert twin(fleet, language, "healthy")["highest risk"] < SUSPECTED


@pytest.mark.timeout(1800)
@each_language
def test_rules_confirm_leaking_twin(fleet: dict[str, Any], language: str) -> None:
    assert twin(fleet, language, "leaking")["highest by rule"] >= ONE_WINDOW


@pytest.mark.timeout(1800)
@each_language
def test_rules_leave_healthy_twin_alone(fleet: dict[str, Any], language: str) -> None:
    assert twin(fleet, language, "healthy")["highest by rule"] < SUSPECTED


@pytest.mark.timeout(1800)
@each_language
def test_service_has_what_the_table_says(fleet: dict[str, Any], language: str) -> None:
    for name in ("healthy", "leaking"):
        assert set(twin(fleet, language, name)) == COLUMNS[language] | RISKS


def test_language_without_its_toolchain_is_left_out_with_the_reason(tmp_path: Path) -> None:
    tools.collector()
    tools.prometheus()
    result = run("--seconds", "0", "--json", "rust", env={"PATH": str(tmp_path)})
    assert result.returncode == 0, result.stdout + result.stderr
    assert "rust is left out: no cargo on PATH" in result.stdout
    assert json.loads(result.stdout.splitlines()[-1]) == {
        "services": {},
        "left_out": {"rust": "no cargo on PATH"},
    }


def test_unknown_language_is_refused_and_the_message_names_those_there_are() -> None:
    result = run("cobol")
    assert result.returncode == 2
    assert "no such language: cobol" in result.stderr
    assert all(language in result.stderr for language in COLUMNS)


def test_every_folder_is_a_language_that_is_run() -> None:
    folders = {each.name for each in RUN.parent.iterdir() if each.is_dir()}
    assert folders - {"__pycache__"} == set(COLUMNS)


def test_services_listen_on_loopback_only() -> None:
    for file in RUN.parent.rglob("*"):
        if file.is_file() and file.suffix in {".py", ".js", ".go", ".java", ".rs", ".cpp", ".yaml"}:
            assert "0.0.0.0" not in file.read_text(), file  # noqa: S104
