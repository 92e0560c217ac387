"""Real servers fork real workers, and each of those reports its own memory."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.otlp_sink import OtlpSink
from tests.tools import Server, eventually, running

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = Path(__file__).parent / "programs"
BIN = Path(sys.executable).parent
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
WORKERS = 2

GUNICORN = ["gunicorn", "-c", "python:gunicorn_settings", "bare:wsgi"]
CELERY = ["celery", "--app", "tasks", "worker", "--pool", "prefork", "--concurrency", "2"]
UVICORN = ["uvicorn", "bare:asgi", "--workers", "2", "--port", "0", "--lifespan", "on"]

SERVERS = {
    "gunicorn": GUNICORN,
    "gunicorn preload": [*GUNICORN, "--preload"],
    "gunicorn gevent": [*GUNICORN, "--worker-class", "gevent"],
    "celery prefork": CELERY,
    "uvicorn": UVICORN,
    "multiprocessing fork": ["python", str(PROGRAMS / "processes.py"), "fork"],
    "multiprocessing forkserver": ["python", str(PROGRAMS / "processes.py"), "forkserver"],
    "multiprocessing spawn": ["python", str(PROGRAMS / "processes.py"), "spawn"],
}


@contextmanager
def served(
    command: list[str], folder: Path, sink: OtlpSink, **variables: str
) -> Iterator[tuple[Server, list[dict[str, Any]]]]:
    """Run a server, and give it with what its workers say of themselves."""
    program, *arguments = command
    environment = sink.environment(
        PYTHONPATH=str(PROGRAMS), WORKERS_FOLDER=str(folder), BUSY_SECONDS="1.5", **variables
    )
    instrumented = [BIN / "opentelemetry-instrument", BIN / program, *arguments]
    with running(program, instrumented, folder, environment) as server:

        def registered() -> list[dict[str, Any]]:
            found = sorted(folder.glob("*.json"))
            assert len(found) == WORKERS, "workers have not registered"
            return [json.loads(each.read_text()) for each in found]

        yield server, eventually(registered, server)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def assert_reports_its_own(worker: dict[str, Any], sink: OtlpSink) -> None:
    points = sink.points("process.memory.usage", worker["instance"])
    assert points, f"{worker} is silent"
    latest = points[-1]
    assert latest.value == pytest.approx(resident_bytes(worker["pid"]), rel=0.03)
    assert latest.value > worker["held_bytes"]
    segments = [
        point.value
        for point in sink.points("process.memory.resident", worker["instance"])
        if point.export == latest.export
    ]
    assert sum(segments) == latest.value


@pytest.mark.parametrize("name", SERVERS)
def test_each_worker_reports_its_own_memory(name: str, tmp_path: Path) -> None:
    with OtlpSink() as sink, served(SERVERS[name], tmp_path, sink) as (server, workers):
        assert workers[0]["instance"] != workers[1]["instance"]
        for worker in workers:
            eventually(lambda worker=worker: assert_reports_its_own(worker, sink), server)  # type: ignore[misc]


@pytest.mark.parametrize("name", ["gunicorn preload", "multiprocessing forkserver"])
def test_each_worker_reports_its_own_memory_without_the_thread(name: str, tmp_path: Path) -> None:
    variables = {"OTEL_PYTHON_MEMORY_BACKGROUND_SAMPLING": "false"}
    with OtlpSink() as sink, served(SERVERS[name], tmp_path, sink, **variables) as found:
        server, workers = found
        for worker in workers:
            eventually(lambda worker=worker: assert_reports_its_own(worker, sink), server)  # type: ignore[misc]


def test_worker_under_gevent_does_not_count_the_application_s_cpu_time(tmp_path: Path) -> None:
    # The variable has everything patched before this package is loaded: its thread is a greenlet.
    variables = {"OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH": "patch_all"}
    command = SERVERS["gunicorn gevent"]
    with OtlpSink() as sink, served(command, tmp_path, sink, **variables) as (server, workers):

        def counter_after_work() -> None:
            for worker in workers:
                points = sink.points("process.memory.monitor.cpu.time", worker["instance"])
                spent = process_cpu_seconds(worker["pid"])
                assert spent > 1.5, "the application has not worked yet"
                assert points, f"{worker} is silent"
                assert 0 < points[-1].value < 0.2 * spent
                values = [point.value for point in points]
                assert values == sorted(values)

        eventually(counter_after_work, server)


def process_cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_helpers_of_multiprocessing_send_no_memory_metrics(method: str, tmp_path: Path) -> None:
    command = SERVERS[f"multiprocessing {method}"]
    with OtlpSink() as sink, served(command, tmp_path, sink) as (server, workers):
        for worker in workers:
            eventually(lambda worker=worker: assert_reports_its_own(worker, sink), server)  # type: ignore[misc]
        # Two more exports of each worker: whoever else were going to report would have by now.
        for worker in workers:
            seen = len(sink.points("process.memory.usage", worker["instance"]))
            sink.wait_for(
                lambda worker=worker, seen=seen: (  # type: ignore[misc]
                    len(sink.points("process.memory.usage", worker["instance"])) >= seen + 2
                )
            )
        reporting = {point.instance for point in sink.points()}
        assert {worker["instance"] for worker in workers} < reporting
        assert len(reporting) == WORKERS + 1, "the program, its workers, and no helper"
