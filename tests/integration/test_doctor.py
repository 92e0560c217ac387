"""The real command, on the real platform and under settings that change it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

COMMAND = str(Path(sys.executable).parent / "opentelemetry-memory")


def doctor(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [COMMAND, "doctor", *options],
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_this_platform_is_described_in_plain_text() -> None:
    ended = doctor()
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "\x1b" not in ended.stdout
    for title in ("Sources", "Resident set", "Limits", "Settings", "Versions"):
        assert title in ended.stdout


def test_the_json_report_is_one_object_whose_segments_add_up_to_the_resident_set() -> None:
    report = json.loads(doctor("--json").stdout)
    resident = next(
        each["values"] for each in report["sources"] if "resident_bytes" in each["values"]
    )
    # The report itself takes memory between the reads of the one and the other.
    assert 0 <= sum(report["segments"].values()) - resident["resident_bytes"] < 2**22
    assert report["loading"]["is_loaded"]


def test_small_objects_served_by_malloc_are_explained() -> None:
    ended = doctor(PYTHONMALLOC="malloc")
    assert ended.returncode == 0
    assert "PYTHONMALLOC=malloc" in ended.stdout
    assert "the segment python_heap and cpython.memory.heap.* are absent" in ended.stdout


def test_a_bad_variable_is_shown_once_and_the_default_is_in_force() -> None:
    ended = doctor(OTEL_PYTHON_MEMORY_BUDGET_PERCENT="much")
    assert ended.returncode == 0
    assert ended.stdout.count("OTEL_PYTHON_MEMORY_BUDGET_PERCENT='much'") == 1
    assert ended.stderr == ""


def test_a_limit_that_is_set_is_listed() -> None:
    ended = doctor(OTEL_PYTHON_MEMORY_LIMIT_BYTES="64MiB")
    assert "64.0 MiB  setting limit_bytes" in ended.stdout


def test_an_instrumentor_that_is_switched_off_is_reported() -> None:
    ended = doctor(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="memory")
    assert ended.returncode == 0
    assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=memory switches it off" in ended.stdout


def test_without_proc_the_exit_code_says_that_nothing_can_be_measured() -> None:
    program = (
        "import sys\n"
        "from opentelemetry.instrumentation.memory import cli\n"
        "from opentelemetry.instrumentation.memory._commands import doctor\n"
        "from opentelemetry.instrumentation.memory._probes import platform_probes\n"
        "examine = doctor.examine\n"
        "sys.modules['psutil'] = None\n"
        "probes = lambda limit: platform_probes(limit, '/no/proc')\n"
        "doctor.examine = lambda environ: examine(environ, probes)\n"
        "sys.exit(cli.main(['doctor']))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1, ended.stderr
    assert "psutil cannot be imported" in ended.stdout
    assert "every segment" in ended.stdout
