"""`opentelemetry-instrument python app.py`: real processes, a real exporter, a receiver here."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.otlp_sink import OTHERS, OtlpSink
from tests.tools import Server, clean_environment, eventually, free_ports, running

from opentelemetry.instrumentation.memory import MemoryConfig, environment_variables
from opentelemetry.instrumentation.memory._sampling.thread import THREAD_NAME
from opentelemetry.instrumentation.memory.config import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STATE = Path(__file__).parent / "programs" / "state.py"
BIN = Path(sys.executable).parent
DEFAULTS = {name: getattr(MemoryConfig(), name) for name in settings()}


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as sink:
        yield sink


def instrumented(*arguments: str, flags: tuple[str, ...] = ()) -> list[str]:
    program = [str(BIN / "python"), str(STATE), *arguments]
    return [str(BIN / "opentelemetry-instrument"), *flags, *program]


def run(
    environment: Mapping[str, str], *arguments: str, flags: tuple[str, ...] = ()
) -> tuple[dict[str, Any], str]:
    """Run the program to its end; return what it says at last, and its log."""
    ended = subprocess.run(
        instrumented(*arguments, flags=flags),
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)[-1], ended.stderr


@contextmanager
def staying(
    environment: Mapping[str, str], folder: Path, *arguments: str
) -> Iterator[tuple[Server, dict[str, Any]]]:
    """Run the program until the block ends; give it with what it says of itself."""
    with running("app", instrumented("stay", *arguments), folder, environment) as server:

        def said() -> dict[str, Any]:
            lines = [line for line in server.output().splitlines() if line.startswith("[{")]
            assert lines, "the program has not said anything"
            return dict(json.loads(lines[0])[-1])

        yield server, eventually(said, server)


def reports_memory(sink: OtlpSink) -> bool:
    return bool(sink.points("process.memory.usage"))


def test_application_without_a_line_of_code_reports_its_memory(
    sink: OtlpSink, tmp_path: Path
) -> None:
    with staying(sink.environment(OTEL_SERVICE_NAME="shop"), tmp_path) as (_, said):
        sink.wait_for(lambda: len({each.export for each in sink.points()}) >= 3)
    assert said["threads"].count(THREAD_NAME) == 1
    assert said["config"] == DEFAULTS
    assert {each.resource["service.name"] for each in sink.points()} == {"shop"}
    for export in {each.export for each in sink.points()}:
        points = [each for each in sink.points() if each.export == export]
        (usage,) = [each.value for each in points if each.metric == "process.memory.usage"]
        assert usage > 2**20
        assert usage == sum(each.value for each in points if each.metric.endswith(".resident"))
        assert not [each for each in points if {"pid", "process.pid"} & set(each.attributes)]


def test_short_job_reports_once_when_it_ends(sink: OtlpSink) -> None:
    said, log = run(sink.environment(OTEL_METRIC_EXPORT_INTERVAL="60000"))
    (usage,) = sink.points("process.memory.usage")
    assert usage.value == pytest.approx(said["resident"], rel=0.1)
    segments = sink.points("process.memory.resident")
    assert sum(each.value for each in segments) == usage.value
    assert log == ""


def test_sigterm_ends_the_application_at_once(sink: OtlpSink, tmp_path: Path) -> None:
    with staying(sink.environment(), tmp_path) as (server, _):
        sink.wait_for(lambda: reports_memory(sink))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == -signal.SIGTERM


def test_bad_variable_stops_neither_other_instrumentors_nor_the_application(
    sink: OtlpSink,
) -> None:
    environment = sink.environment(
        OTEL_PYTHON_MEMORY_LIMIT_BYTES="much",
        OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS="nan",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="system_metrics",
    )
    said, log = run(environment)
    assert said["config"] == DEFAULTS
    assert said["others"] == {"Flask": True, "FastAPI": True}
    assert log.count("OTEL_PYTHON_MEMORY_LIMIT_BYTES='much': expected bytes between") == 1
    assert log.count("OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS='nan': expected seconds") == 1
    assert len(log.splitlines()) == 2
    assert reports_memory(sink)


def test_disabled_sdk_starts_no_thread(sink: OtlpSink) -> None:
    said, log = run(sink.environment(OTEL_SDK_DISABLED="true"))
    assert THREAD_NAME not in said["threads"]
    assert sink.points() == []
    assert log == ""


def test_disabled_instrumentation_is_not_even_imported(sink: OtlpSink) -> None:
    said, _ = run(sink.environment(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=f"memory,{OTHERS}"))
    assert not said["is_imported"]
    assert THREAD_NAME not in said["threads"]
    assert sink.points() == []


GIVEN = {
    "min_interval_seconds": ("1.5", 1.5),
    "max_interval_seconds": ("20", 20.0),
    "background_sampling": ("false", False),
    "budget_percent": ("0.5", 0.5),
    "limit_bytes": ("512MiB", 512 * 2**20),
    "process_metrics": ("false", False),
    "baseline_directory": (f"{tempfile.gettempdir()}/otel-memory",) * 2,
    "evidence": ("false", False),
    "evidence_budget_percent": ("2", 2.0),
    "evidence_pause_seconds": ("0.5", 0.5),
    "evidence_frames": ("3", 3),
    "request_watch_bytes": ("1MiB", 2**20),
    "snapshot_directory": (f"{tempfile.gettempdir()}/otel-snapshots",) * 2,
    "snapshot_signal": ("false", False),
}


def test_each_variable_is_also_a_flag(sink: OtlpSink) -> None:
    assert set(GIVEN) == set(settings())
    names = [name for name in dir(environment_variables) if name.startswith("OTEL_")]
    assert {f"OTEL_PYTHON_MEMORY_{name.upper()}" for name in GIVEN} == set(names)
    flags = [part for name, (text, _) in GIVEN.items() for part in (f"--memory_{name}", text)]
    said, log = run(sink.environment(), flags=tuple(flags))
    assert said["config"] == {name: value for name, (_, value) in GIVEN.items()}
    assert log == ""
    assert THREAD_NAME not in said["threads"]
    assert {each.value for each in sink.points("process.memory.limit")} == {512 * 2**20}
    assert not reports_memory(sink)


def configuration_file(sink: OtlpSink, folder: Path, *options: str) -> dict[str, str]:
    """Write a declarative configuration, and return the environment that points at it."""
    lines = "".join(f"      {line}\n" for line in options)
    file = folder / "otel.yaml"
    file.write_text(
        f"""\
file_format: "1.0"
meter_provider:
  readers:
    - periodic:
        interval: 300
        exporter:
          otlp_http:
            endpoint: {sink.endpoint}/v1/metrics
instrumentation/development:
  python:
    memory:
{lines}"""
    )
    environment = sink.environment(OTEL_CONFIG_FILE=str(file))
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(("OTEL_CONFIG", "OTEL_PYTHON"))
    }


def test_declarative_file_wins_over_the_environment(sink: OtlpSink, tmp_path: Path) -> None:
    environment = configuration_file(
        sink, tmp_path, "max_interval_seconds: 20", "limit_bytes: 1GiB", "process_metrics: true"
    )
    said, log = run(
        {
            **environment,
            "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": "30",
            "OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS": "2",
            "OTEL_PYTHON_MEMORY_PROCESS_METRICS": "false",
        }
    )
    assert said["config"] == {
        **DEFAULTS,
        "max_interval_seconds": 20.0,
        "limit_bytes": 2**30,
        "min_interval_seconds": 2.0,
    }
    assert reports_memory(sink)
    assert "memory" not in log.replace("already instrumented", "")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("limit_bytes: much", "limit_bytes='much': expected bytes between"),
        ("limit_bites: 1GiB", "did you mean limit_bytes?"),
    ],
)
def test_bad_option_in_the_file_is_one_warning_and_the_others_hold(
    option: str, message: str, sink: OtlpSink, tmp_path: Path
) -> None:
    environment = configuration_file(sink, tmp_path, option, "max_interval_seconds: 20")
    said, log = run({**environment, "OTEL_PYTHON_MEMORY_LIMIT_BYTES": "512Mi"})
    assert said["config"] == {
        **DEFAULTS,
        "max_interval_seconds": 20.0,
        "limit_bytes": 512 * 2**20,
    }
    assert log.count(message) == 1, log
    assert log.count("declarative configuration: ") == 1, log
    assert "Traceback" not in log
    assert reports_memory(sink)


def test_resource_tracker_sends_no_memory_metrics(sink: OtlpSink, tmp_path: Path) -> None:
    with staying(sink.environment(), tmp_path, "track") as (_, said):
        tracker = children(said["pid"])
        assert len(tracker) == 1
        seen = len(sink.points("process.memory.usage"))
        sink.wait_for(lambda: len(sink.points("process.memory.usage")) >= seen + 5)
        with_memory = len(list(Path(f"/proc/{tracker[0]}/task").iterdir()))
    assert len({each.instance for each in sink.points()}) == 1
    environment = sink.environment(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=f"memory,{OTHERS}")
    (tmp_path / "app.log").unlink()
    with staying(environment, tmp_path, "track") as (_, said):
        (pid,) = children(said["pid"])

        def has_as_many_threads() -> None:
            assert len(list(Path(f"/proc/{pid}/task").iterdir())) == with_memory

        eventually(has_as_many_threads)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def test_without_a_receiver_nothing_grows_and_the_application_works(sink: OtlpSink) -> None:
    (port,) = free_ports(1)
    environment = sink.environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_TIMEOUT="1"
    )
    ended = subprocess.run(
        instrumented("flush"),
        env={**clean_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=120,
        check=True,
    )
    before, after = json.loads(ended.stdout)
    assert after["threads"] == before["threads"]
    assert after["resident"] - before["resident"] < 10 * 2**20


def test_data_flows_again_when_the_receiver_is_back(sink: OtlpSink, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    environment = sink.environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_TIMEOUT="1"
    )
    with staying(environment, tmp_path) as (server, _):

        def has_failed() -> None:
            assert "export" in server.output().lower().split("[{")[-1]

        eventually(has_failed, server)
        with OtlpSink(port) as late:
            late.wait_for(lambda: reports_memory(late))
