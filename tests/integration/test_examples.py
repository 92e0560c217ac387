"""Each example, run by the commands of its own README, against an OTLP receiver on loopback."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.otlp_sink import OTHERS, OtlpSink

from opentelemetry.instrumentation.memory import SEGMENTS
from opentelemetry.instrumentation.memory._metrics import CPU_TIME, INSTRUMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PORT_IN_README = "8000"
PATIENCE_SECONDS = 60.0
MIB = 2**20
SEGMENT = "process.memory.segment"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="expects every segment")

Values = dict[str, float]


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as each:
        yield each


def instances(sink: OtlpSink, count: int, service: str) -> list[Values]:
    """Return what each process last reported, by metric or segment, once so many have."""

    def processes() -> set[str]:
        found = {point.instance for point in sink.points(CPU_TIME.name)}
        return found if len(found) >= count else set()

    return [_last_export(sink, instance, service) for instance in sink.wait_for(processes)]


def _last_export(sink: OtlpSink, instance: str, service: str) -> Values:
    points = sink.points(instance=instance)
    assert {point.resource["service.name"] for point in points} == {service}
    return {
        "/".join((point.metric, *filter(None, [point.attributes.get(SEGMENT)]))): point.value
        for point in points
        if point.export == points[-1].export
    }


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
    example: str, sink: OtlpSink, port: int = 0, interval_seconds: float = 0.5
) -> Iterator[None]:
    """Run what the README says, save for installing, on a port of its own and exporting often."""
    install, *rest = commands(example)
    assert install.startswith("pip install ")
    environ = {name: each for name, each in os.environ.items() if not name.startswith("OTEL_")}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = sink.endpoint
    environ["OTEL_METRIC_EXPORT_INTERVAL"] = f"{interval_seconds * 1000:g}"
    # Installed for other tests, by none of the READMEs.
    environ["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = OTHERS
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
    # Without a limit, before the first verdict and without a leak, these are absent.
    optional = {
        "process.memory.limit",
        "process.memory.limit.utilization",
        "process.memory.leak.risk",
        "process.memory.leak.growth",
        "process.memory.leak.time_to_exhaustion",
        "process.memory.route.growth",
    }
    reported = {name.split("/")[0] for name in values}
    assert {each.name for each in INSTRUMENTS} - reported <= optional


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - loopback
        return str(answer.read().decode())


def test_every_example_is_run_here() -> None:
    folders = {each.name for each in EXAMPLES.iterdir() if each.is_dir()}
    # A manifest cannot be run here, tests/unit/test_kubernetes_example.py checks it.
    # test_mixed_languages.py runs the services in several languages.
    run = {"flask_gunicorn", "fastapi_programmatic", "declarative_file"}
    assert folders == {*run, "kubernetes_baseline", "kubernetes_fleet", "mixed_languages"}


@pytest.mark.parametrize("example", ["flask_gunicorn", "fastapi_programmatic", "declarative_file"])
def test_what_an_example_says_to_install_is_what_it_is_tested_with(example: str) -> None:
    for word in commands(example)[0].removeprefix("pip install ").split():
        name = re.sub(r"\[.*", "", word.strip("'"))
        assert name == "../.." or importlib.metadata.version(name)


def test_flask_under_gunicorn_reports_each_worker(sink: OtlpSink) -> None:
    port = free_port()
    # The SDK does not renew its export lock in a child, so the first export must not be under way
    # while gunicorn forks its workers.
    with example_running("flask_gunicorn", sink, port, interval_seconds=4):
        # The master is a process of its own, with memory of its own.
        for values in instances(sink, 3, "flask-gunicorn"):
            assert_whole(values)
        before = json.loads(get(f"http://127.0.0.1:{port}/"))
        assert get(f"http://127.0.0.1:{port}/pages/first").startswith("<h1>first</h1>")
        assert before["cached_pages"] == 0


def test_fastapi_reports_what_it_also_shows_itself(sink: OtlpSink) -> None:
    port = free_port()
    with example_running("fastapi_programmatic", sink, port):
        (values,) = instances(sink, 1, "fastapi-programmatic")
        assert_whole(values)
        shown = json.loads(get(f"http://127.0.0.1:{port}/memory"))
        assert list(shown) == list(SEGMENTS)
        assert sum(shown.values()) == pytest.approx(values["process.memory.usage"], rel=0.2)


def test_declarative_file_sets_up_the_pipeline_and_the_settings(sink: OtlpSink) -> None:
    with example_running("declarative_file", sink):
        (values,) = instances(sink, 1, "declarative-file")
        assert_whole(values)
        assert values["process.memory.limit"] == 512 * MIB
        assert values["process.memory.limit.utilization"] == pytest.approx(
            values["process.memory.usage"] / (512 * MIB)
        )
