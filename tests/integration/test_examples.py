"""Each example, run by the commands of its own README, against an OTLP receiver on loopback."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import importlib.metadata
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from opentelemetry.instrumentation.memory import SEGMENTS
from opentelemetry.instrumentation.memory._metrics import INSTRUMENTS, SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PORT_IN_README = "8000"
PATIENCE_SECONDS = 60.0
MIB = 2**20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="expects every segment")

Values = dict[str, "int | float"]


class Sink:
    """An OTLP/HTTP receiver: what each service instance last reported, by metric or segment."""

    def __init__(self) -> None:
        exports: queue.Queue[tuple[str, str, Values]] = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                for export in _exports(body):
                    exports.put(export)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.exports = exports
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def instances(self, count: int, service: str) -> dict[str, Values]:
        """Return what instances of the service report, once so many of them have."""
        seen: dict[str, Values] = {}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(seen) < count:
            name, instance, values = self.exports.get(timeout=deadline - time.monotonic())
            assert name == service
            seen[instance] = values
        return seen


def _exports(body: bytes) -> Iterator[tuple[str, str, Values]]:
    for resource_metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        resource = {
            each.key: each.value.string_value for each in resource_metrics.resource.attributes
        }
        for scope_metrics in resource_metrics.scope_metrics:
            if scope_metrics.scope.name != SCOPE_NAME:
                continue
            values: Values = {}
            for metric in scope_metrics.metrics:
                points = getattr(metric, metric.WhichOneof("data")).data_points
                for point in points:
                    segment = [
                        each.value.string_value
                        for each in point.attributes
                        if each.key == "process.memory.segment"
                    ]
                    value = getattr(point, point.WhichOneof("value"))
                    values["/".join((metric.name, *segment))] = value
            yield resource["service.name"], resource["service.instance.id"], values


@pytest.fixture
def sink() -> Iterator[Sink]:
    each = Sink()
    thread = threading.Thread(target=each.server.serve_forever, daemon=True)
    thread.start()
    yield each
    each.server.shutdown()
    each.server.server_close()
    thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def commands(example: str) -> list[str]:
    """Return the lines of the first block in the example's README."""
    block = re.search(r"```sh\n(.*?)```", (EXAMPLES / example / "README.md").read_text(), re.DOTALL)
    assert block is not None
    return block[1].splitlines()


@contextlib.contextmanager
def example_running(
    example: str, sink: Sink, port: int = 0, interval_seconds: float = 0.5
) -> Iterator[None]:
    """Run what the README says, save for installing, on a port of its own and exporting often."""
    install, *rest = commands(example)
    assert install.startswith("pip install ")
    environ = {name: each for name, each in os.environ.items() if not name.startswith("OTEL_")}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = sink.endpoint
    environ["OTEL_METRIC_EXPORT_INTERVAL"] = f"{interval_seconds * 1000:g}"
    # Installed for other tests, by none of the READMEs.
    environ["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = "system_metrics,flask,fastapi,celery"
    rest[-1] = "exec " + rest[-1].replace(PORT_IN_README, str(port))
    process = subprocess.Popen(
        ["sh", "-ec", "\n".join(rest)],
        cwd=EXAMPLES / example,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        sys.stdout.write(process.communicate()[0])
        raise
    os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in output, output


def assert_whole(values: Values) -> None:
    parts = [values[f"process.memory.resident/{segment}"] for segment in SEGMENTS]
    assert sum(parts) == values["process.memory.usage"] > 10 * MIB
    assert values["process.memory.monitor.cpu.time"] > 0
    optional = {"process.memory.limit", "process.memory.limit.utilization"}
    reported = {name.split("/")[0] for name in values}
    assert {each.name for each in INSTRUMENTS} - reported <= optional


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - loopback
        return str(answer.read().decode())


def test_every_example_is_run_here() -> None:
    folders = {each.name for each in EXAMPLES.iterdir() if each.is_dir()}
    assert folders == {"flask_gunicorn", "fastapi_programmatic", "declarative_file"}


@pytest.mark.parametrize("example", ["flask_gunicorn", "fastapi_programmatic", "declarative_file"])
def test_what_an_example_says_to_install_is_what_it_is_tested_with(example: str) -> None:
    for word in commands(example)[0].removeprefix("pip install ").split():
        name = re.sub(r"\[.*", "", word.strip("'"))
        assert name == "../.." or importlib.metadata.version(name)


def test_flask_under_gunicorn_reports_each_worker(sink: Sink) -> None:
    port = free_port()
    # The SDK does not renew its export lock in a child, so the first export must not be under way
    # while gunicorn forks its workers.
    with example_running("flask_gunicorn", sink, port, interval_seconds=4):
        # The master is a process of its own, with memory of its own.
        for values in sink.instances(3, "flask-gunicorn").values():
            assert_whole(values)
        before = json.loads(get(f"http://127.0.0.1:{port}/"))
        assert get(f"http://127.0.0.1:{port}/pages/first").startswith("<h1>first</h1>")
        assert before["cached_pages"] == 0


def test_fastapi_reports_what_it_also_shows_itself(sink: Sink) -> None:
    port = free_port()
    with example_running("fastapi_programmatic", sink, port):
        (values,) = sink.instances(1, "fastapi-programmatic").values()
        assert_whole(values)
        shown = json.loads(get(f"http://127.0.0.1:{port}/memory"))
        assert list(shown) == list(SEGMENTS)
        assert sum(shown.values()) == pytest.approx(values["process.memory.usage"], rel=0.2)


def test_declarative_file_sets_up_the_pipeline_and_the_settings(sink: Sink) -> None:
    with example_running("declarative_file", sink):
        (values,) = sink.instances(1, "declarative-file").values()
        assert_whole(values)
        assert values["process.memory.limit"] == 512 * MIB
        assert values["process.memory.limit.utilization"] == pytest.approx(
            values["process.memory.usage"] / (512 * MIB)
        )
