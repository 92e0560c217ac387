"""The report, on platforms that lack one source or another."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.fakes import MIB, FakeProbe, fake_probes

from opentelemetry.instrumentation.memory._commands.doctor.examine import examine
from opentelemetry.instrumentation.memory._commands.doctor.text import text
from opentelemetry.instrumentation.memory._probes.base import Resident
from opentelemetry.instrumentation.memory._probes.cgroup import LimitProbe
from opentelemetry.instrumentation.memory._probes.cpython import ObjectAllocatorProbe
from opentelemetry.instrumentation.memory._probes.linux import SharedMemoryProbe, StatmProbe
from opentelemetry.instrumentation.memory._probes.malloc import MallocProbe
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.instrumentation.memory._commands.doctor.report import Report


def report_with(environ: Mapping[str, str] | None = None, **instead: Any) -> Report:
    probes = fake_probes(**instead)
    return examine(environ or {}, lambda _: probes)


def control_group(folder: Path, own: str, parent: str) -> LimitProbe:
    """Return a probe of a version 2 group with a parent; the files say what they are told."""
    proc, mount = folder / "proc", folder / "cgroup"
    (mount / "a" / "b").mkdir(parents=True)
    proc.mkdir()
    (proc / "cgroup").write_text("0::/a/b\n")
    (proc / "mountinfo").write_text(f"30 25 0:26 / {mount} rw - cgroup2 cgroup2 rw\n")
    (mount / "a" / "b" / "memory.max").write_text(own)
    (mount / "a" / "memory.max").write_text(parent)
    return LimitProbe(1024 * MIB, str(proc))


def test_a_complete_platform_has_every_source_and_segments_that_add_up() -> None:
    report = report_with()
    assert report.has_resident_set
    assert all(source.problem is None for source in report.sources)
    assert all(source.cost_microseconds is not None for source in report.sources)
    assert sum(report.segments.values()) == 100 * MIB
    assert list(report.segments) == [
        "python_heap", "native_heap", "retained", "other_anonymous", "file", "shared",
    ]  # fmt: skip


def test_without_mallinfo2_the_native_heap_is_absent_and_told_why() -> None:
    report = report_with(native=MallocProbe(library=object()))
    assert "native_heap" not in report.segments
    shown = text(report)
    assert "the C library has no mallinfo2" in shown
    assert "the segment native_heap is absent" in shown


def test_without_pymalloc_the_python_heap_is_absent_and_told_why() -> None:
    report = report_with(objects=ObjectAllocatorProbe(implementation="pypy"))
    assert "python_heap" not in report.segments
    shown = text(report)
    assert "pypy does not use pymalloc" in shown
    assert "the segment python_heap and cpython.memory.heap.* are absent" in shown


def test_without_a_resident_set_there_are_no_segments(tmp_path: Path) -> None:
    report = report_with(
        resident=StatmProbe(str(tmp_path / "statm")),
        shared=SharedMemoryProbe(str(tmp_path / "status")),
    )
    assert not report.has_resident_set
    assert report.segments == {}
    shown = text(report)
    assert "mount /proc" in shown
    assert "every segment" in shown


def test_a_kernel_that_writes_zeros_is_told_from_one_that_knows(tmp_path: Path) -> None:
    (tmp_path / "statm").write_text("1000 500 0 1 0 300 0\n")
    (tmp_path / "status").write_text("Name:\tpython\n")
    report = report_with(
        resident=StatmProbe(str(tmp_path / "statm")),
        shared=SharedMemoryProbe(str(tmp_path / "status")),
    )
    assert report.has_resident_set
    assert "file" not in report.segments
    assert "the segments file and shared are absent" in text(report)


def test_a_source_that_cannot_be_read_just_now_is_reported_and_not_raised() -> None:
    report = report_with(gc=FakeProbe(SourceUnavailable("no statistics"), name="gc"))
    assert "no statistics" in text(report)
    report = report_with(resident=FakeProbe(OSError("Permission denied"), name="statm"))
    assert not report.has_resident_set


def test_a_resident_set_without_its_mapped_part_says_what_is_missing() -> None:
    report = report_with(resident=FakeProbe(Resident(50 * MIB, 90 * MIB, None), name="psutil"))
    assert report.has_resident_set
    assert "the segments file and shared are absent" in text(report)


def test_every_limit_is_listed_and_the_smallest_is_marked(tmp_path: Path) -> None:
    report = report_with(limit=control_group(tmp_path, own="max", parent=str(512 * MIB)))
    assert [(limit.bytes, limit.is_smallest) for limit in report.limits] == [
        (512 * MIB, True),
        (1024 * MIB, False),
    ]
    (smallest,) = [line for line in text(report).splitlines() if line.startswith("  * ")][:1]
    assert "512.0 MiB" in smallest
    assert str(tmp_path / "cgroup" / "a" / "memory.max") in smallest


def test_a_limit_file_that_cannot_be_read_is_listed(tmp_path: Path) -> None:
    report = report_with(limit=control_group(tmp_path, own="max", parent="not a number"))
    assert "cannot be read" in text(report)
    assert str(tmp_path / "cgroup" / "a" / "memory.max") in report.unreadable_limits[0]


def test_settings_are_shown_with_where_they_come_from() -> None:
    report = report_with(
        {
            "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": "30",
            "OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "much",
        }
    )
    settings = {setting.name: setting for setting in report.settings}
    assert settings["max_interval_seconds"].value == 30
    assert settings["max_interval_seconds"].origin == "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS"
    assert settings["min_interval_seconds"].origin == "default"
    assert settings["budget_percent"].origin == "default"
    (problem,) = report.setting_problems
    assert "OTEL_PYTHON_MEMORY_BUDGET_PERCENT='much'" in problem
    assert problem in text(report)


def test_an_interval_that_gave_way_is_shown_as_no_variable_s() -> None:
    report = report_with({"OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": "0.1"})
    settings = {setting.name: setting for setting in report.settings}
    assert settings["min_interval_seconds"].value == 0.1
    assert settings["min_interval_seconds"].origin == "default"
    assert report.setting_problems == ()


def test_a_misspelt_variable_is_named_with_the_nearest() -> None:
    report = report_with({"OTEL_PYTHON_MEMORY_LIMIT_BYTE": "512Mi"})
    (problem,) = report.setting_problems
    assert problem.startswith("OTEL_PYTHON_MEMORY_LIMIT_BYTE='512Mi': unknown variable")
    assert problem.endswith("did you mean OTEL_PYTHON_MEMORY_LIMIT_BYTES?")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a directory that not even root writes")
@pytest.mark.parametrize("directory", ["/proc/nope", "/proc/nope/baselines", "/proc"])
def test_a_baseline_directory_that_cannot_be_written_is_reported(directory: str) -> None:
    report = report_with({"OTEL_PYTHON_MEMORY_BASELINE_DIRECTORY": directory})
    (problem,) = report.setting_problems
    assert problem.startswith(f"baseline_directory={directory}: cannot be written, ")
    assert problem.endswith(": /proc")
    assert problem in text(report)


def test_a_baseline_directory_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "baselines"):
        report = report_with({"OTEL_PYTHON_MEMORY_BASELINE_DIRECTORY": str(directory)})
        assert "cannot be written, Not a directory" in report.setting_problems[0]


def test_a_baseline_directory_is_tried_without_a_trace(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "not" / "yet"):
        report = report_with({"OTEL_PYTHON_MEMORY_BASELINE_DIRECTORY": str(directory)})
        assert report.setting_problems == ()
    assert list(tmp_path.iterdir()) == []


def test_a_declarative_file_wins_over_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "otel.yaml"
    path.write_text(
        'file_format: "1.0"\n'
        "instrumentation/development:\n"
        "  python:\n"
        "    memory:\n"
        "      max_interval_seconds: 20\n"
    )
    report = report_with(
        {"OTEL_CONFIG_FILE": str(path), "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": "30"}
    )
    settings = {setting.name: setting for setting in report.settings}
    assert settings["max_interval_seconds"].value == 20
    assert settings["max_interval_seconds"].origin == str(path)


def test_a_bad_option_of_a_declarative_file_leaves_the_others_in_force(tmp_path: Path) -> None:
    path = tmp_path / "otel.yaml"
    path.write_text(
        'file_format: "1.0"\n'
        "instrumentation/development:\n"
        "  python:\n"
        "    memory:\n"
        "      max_interval_seconds: 20\n"
        "      limit_bytes: much\n"
        "      limit_bites: 1GiB\n"
    )
    report = report_with({"OTEL_CONFIG_FILE": str(path)})
    origins = {setting.name: setting.origin for setting in report.settings}
    assert origins["max_interval_seconds"] == str(path)
    assert origins["limit_bytes"] == "default"
    value, name = report.setting_problems
    assert value.startswith(f"OTEL_CONFIG_FILE={path}: limit_bytes='much': expected bytes")
    assert "did you mean limit_bytes?" in name


def test_a_declarative_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    report = report_with({"OTEL_CONFIG_FILE": str(tmp_path / "missing.yaml")})
    assert "missing.yaml" in report.setting_problems[0]
    assert len(report.settings) > 0


def test_what_keeps_the_instrumentor_from_loading_is_named() -> None:
    assert report_with().loading.is_loaded
    for environ, word in (
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask, memory"}, "flask, memory"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}, "switches it off"),
        ({"OTEL_SDK_DISABLED": "true"}, "reports nothing"),
    ):
        loading = report_with(environ).loading
        assert not loading.is_loaded
        assert any(word in finding for finding in loading.findings)


def test_an_exporter_that_is_switched_off_is_remarked_upon() -> None:
    loading = report_with({"OTEL_METRICS_EXPORTER": "none"}).loading
    assert loading.is_loaded
    assert any("no metric leaves" in finding for finding in loading.findings)


def test_the_report_is_json() -> None:
    report = json.loads(json.dumps(asdict(report_with())))
    assert {source["name"] for source in report["sources"]} >= {"statm", "pymalloc", "mallinfo2"}
    assert report["versions"]["kernel"]


def test_probes_are_closed_after_the_examination() -> None:
    probe = FakeProbe(None, name="limit")
    report_with(limit=probe)
    assert probe.is_closed
