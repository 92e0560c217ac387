"""A leaking worker of greenlets, where the thread that looks is a greenlet itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.tools import eventually, running

BIN = Path(sys.executable).parent
SERVICE = Path(__file__).parent / "programs" / "greenlets"
# With the default budget of one percent the same takes two minutes.
FLAGS = (
    *("--memory_min_interval_seconds", "0.1"),
    *("--memory_max_interval_seconds", "0.1"),
    *("--memory_budget_percent", "5"),
    *("--memory_evidence_budget_percent", "20"),
)

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="segments need /proc"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("greenlets")
    command = [BIN / "opentelemetry-instrument", *FLAGS, BIN / "gunicorn", "turnstile:wsgi"]
    command += ["--chdir", SERVICE, "-c", SERVICE / "gunicorn.conf.py"]
    environment = {
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_PYTHON_MEMORY_SNAPSHOT_DIRECTORY": str(folder / "snapshots"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def written() -> dict[str, Any]:
        found = sorted((folder / "snapshots").glob("memory-snapshot-*-confirmed.json"))
        assert found, "no snapshot yet"
        document: dict[str, Any] = json.loads(found[0].read_text("utf-8"))
        return document

    with running("gunicorn", command, folder, environment) as server:
        return eventually(written, server, seconds=200)


def test_container_is_named(snapshot: dict[str, Any]) -> None:
    conclusion = snapshot["evidence"]["conclusion"]
    assert conclusion["culprit"].startswith("turnstile.tickets"), conclusion


def test_cost_is_that_of_looking_and_not_of_the_application(snapshot: dict[str, Any]) -> None:
    evidence = snapshot["evidence"]
    spent = sum(cost["cpu_seconds"] for cost in evidence["costs"])
    assert 0 < spent < evidence["seconds"] / 2


def test_greenlet_that_looks_does_not_count_the_work_of_the_others() -> None:
    ended = subprocess.run(
        [sys.executable, SERVICE / "patched_first.py"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert 0 < told["spent"] < told["process"] / 2
