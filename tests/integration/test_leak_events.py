"""The events of a leak, from zero-code services over OTLP: what they say, and whose they are."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from tests.otlp_sink import OTHERS
from tests.pipeline import gunicorn, visitors
from tests.tools import eventually, free_ports, running

from opentelemetry.instrumentation.memory._events import EVENT_NAME, SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = Path(__file__).parent / "programs"
BIN = Path(sys.executable).parent
MEBIBYTE = 2**20
DEADLINE_SECONDS = 120
ALWAYS = {"process.memory.leak.state", "process.memory.leak.risk", "process.memory.leak.reason"}
WHILE_GROWING = {
    *ALWAYS,
    "process.memory.segment",
    "process.memory.leak.growth",
    "process.memory.leak.time_to_exhaustion",
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="segments need /proc")


@dataclass(frozen=True)
class Event:
    """One log record with what it belongs to."""

    scope: str
    name: str
    severity: str
    body: str
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def state(self) -> str:
        return str(self.attributes["process.memory.leak.state"])

    @property
    def instance(self) -> str:
        return str(self.resource["service.instance.id"])


class LogSink:
    """Takes log records over OTLP/HTTP on loopback; turns away metrics and traces."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/logs":
                    sink.events += _events(ExportLogsServiceRequest.FromString(body))
                self.send_response(200 if self.path == "/v1/logs" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> LogSink:  # noqa: PYI034 - Self needs 3.11
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def environment(self, **more: str) -> dict[str, str]:
        """Return what makes a program send its events here, after many samples in a short time."""
        return {
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_BLRP_SCHEDULE_DELAY": "200",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": OTHERS,
            "OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS": "0.05",
            "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": "0.05",
            "OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "100",
            "OTEL_PYTHON_MEMORY_LIMIT_BYTES": "1GiB",
            "PYTHONDONTWRITEBYTECODE": "1",
            **more,
        }

    def states(self, instance: str = "") -> list[str]:
        """Return the states in the order of arrival, of all processes or of one."""
        return [each.state for each in self.events if instance in ("", each.instance)]


def _events(request: ExportLogsServiceRequest) -> list[Event]:
    return [
        Event(
            scope=scope.scope.name,
            name=record.event_name,
            severity=record.severity_text,
            body=record.body.string_value,
            attributes=_attributes(record),
            resource=_attributes(resource.resource),
        )
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def _attributes(owner: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value")
        for each in owner.attributes
    }


@pytest.fixture
def sink() -> Iterator[LogSink]:
    with LogSink() as sink:
        yield sink


def assert_is_well_formed(event: Event, *foreign: object) -> None:
    assert (event.scope, event.name) == (SCOPE_NAME, EVENT_NAME)
    severities = {"suspected": "WARN", "confirmed": "ERROR", "recovered": "INFO"}
    assert event.severity == severities[event.state]
    assert event.body == event.attributes["process.memory.leak.reason"]
    assert event.resource["service.name"] == "shop"
    assert ALWAYS <= event.attributes.keys() <= WHILE_GROWING
    assert 0 <= event.attributes["process.memory.leak.risk"] <= 1
    # Nothing of the process or of its files, nothing without bounds.
    told = f"{event.attributes} {event.body}"
    assert len(told) < 1000
    assert re.search(r"/(?!h\b)", told) is None, told
    for each in foreign:
        assert re.search(rf"\b{re.escape(str(each))}\b", told) is None, told


def assert_accuses_the_python_heap(event: Event) -> None:
    attributes = event.attributes
    assert attributes.keys() == WHILE_GROWING
    assert attributes["process.memory.segment"] == "python_heap"
    assert attributes["process.memory.leak.growth"] > 0
    assert 0 < attributes["process.memory.leak.time_to_exhaustion"] < 1e6
    assert "python heap has grown by" in event.body


def test_a_leak_is_suspected_then_confirmed_and_recovered_once_it_is_given_back(
    sink: LogSink, tmp_path: Path
) -> None:
    command = [BIN / "opentelemetry-instrument", BIN / "python", PROGRAMS / "leaky.py"]
    with running("leaky", command, tmp_path, sink.environment()) as server:

        def has_told(*states: str) -> None:
            assert sink.states() == list(states)

        eventually(lambda: has_told("suspected", "confirmed"), server, seconds=DEADLINE_SECONDS)
        os.kill(server.process.pid, signal.SIGUSR1)
        eventually(lambda: has_told("suspected", "confirmed", "recovered"), server)
    suspected, confirmed, recovered = sink.events
    for event in sink.events:
        assert_is_well_formed(event, server.process.pid, tmp_path, PROGRAMS)
    for event in (suspected, confirmed):
        assert_accuses_the_python_heap(event)
    assert suspected.attributes["process.memory.leak.risk"] >= 0.5
    assert confirmed.attributes["process.memory.leak.risk"] >= 0.9
    assert recovered.attributes["process.memory.leak.risk"] < 0.5
    assert "process.memory.leak.growth" not in recovered.attributes


@pytest.mark.parametrize("preload", ["0", "1"], ids=["app in workers", "app preloaded"])
def test_a_forked_worker_tells_of_its_own_leak_and_nobody_else_does(
    sink: LogSink, tmp_path: Path, preload: str
) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    environment = sink.environment(SAMPLE_BIND=address, SAMPLE_PRELOAD=preload)
    leaking: dict[str, int] = {}
    others: set[str] = set()

    def see(answer: dict[str, Any]) -> None:
        if answer["is_leaking"]:
            leaking[answer["instance"]] = answer["pid"]
        else:
            others.add(answer["instance"])

    with (
        running("shop", gunicorn(PROGRAMS / "leaky_shop"), tmp_path, environment) as server,
        visitors(f"http://{address}", see),
    ):

        def is_confirmed() -> None:
            assert sink.states()[-1:] == ["confirmed"]

        eventually(is_confirmed, server, seconds=DEADLINE_SECONDS)
    ((instance, pid),) = leaking.items()
    assert len(others - {instance}) == 1
    assert {event.instance for event in sink.events} == {instance}
    # Behind a quiet start a leak can be so clear that it is confirmed at once.
    assert sink.states() in (["suspected", "confirmed"], ["confirmed"])
    for event in sink.events:
        assert_is_well_formed(event, pid, server.process.pid, tmp_path, PROGRAMS)
        assert_accuses_the_python_heap(event)
