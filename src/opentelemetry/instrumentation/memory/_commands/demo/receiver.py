"""Receives metrics and events over OTLP/HTTP, on loopback."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from google.protobuf.message import (  # type: ignore[import-untyped]
    DecodeError,  # no stubs in its distribution
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from opentelemetry.instrumentation.memory._commands.demo.recording import (
    SEGMENT_ATTRIBUTE,
    Export,
    LeakEvent,
    Point,
)
from opentelemetry.instrumentation.memory._events import EVENT_NAME
from opentelemetry.instrumentation.memory._metrics import SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource
    from typing_extensions import Self

    Arrival = Export | LeakEvent
    Attributes = dict[str, str | int | float]

_LARGEST_BODY_BYTES: Final = 4 * 2**20


def decode(body: bytes, arrived_at_seconds: float) -> list[Export]:
    """Return what one OTLP request says of memory: one export for each process in it.

    Raises:
        ValueError: The body is no metrics request.
    """
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise ValueError("not an OTLP metrics request") from error
    exports = []
    for resource in request.resource_metrics:
        points = tuple(
            point
            for scope in resource.scope_metrics
            if scope.scope.name == SCOPE_NAME
            for metric in scope.metrics
            for point in _points(metric)
        )
        if points:
            exports.append(Export(arrived_at_seconds, _pid(resource.resource), points))
    return exports


def decode_events(body: bytes, arrived_at_seconds: float) -> list[LeakEvent]:
    """Return the changes of verdict that one OTLP request tells of.

    Raises:
        ValueError: The body is no logs request.
    """
    try:
        request = ExportLogsServiceRequest.FromString(body)
    except DecodeError as error:
        raise ValueError("not an OTLP logs request") from error
    return [
        _event(arrived_at_seconds, _pid(resource.resource), _attributes(record.attributes))
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
        if record.event_name == EVENT_NAME
    ]


def _event(arrived_at_seconds: float, pid: int | None, attributes: Attributes) -> LeakEvent:
    segment = attributes.get(SEGMENT_ATTRIBUTE)
    return LeakEvent(
        arrived_at_seconds,
        pid,
        str(attributes.get(f"{EVENT_NAME}.state", "")),
        float(attributes.get(f"{EVENT_NAME}.risk", 0.0)),
        str(attributes.get(f"{EVENT_NAME}.reason", "")),
        None if segment is None else str(segment),
        _number(attributes.get(f"{EVENT_NAME}.growth")),
        _number(attributes.get(f"{EVENT_NAME}.time_to_exhaustion")),
    )


def _number(value: str | float | None) -> float | None:
    return None if value is None else float(value)


def _pid(resource: Resource) -> int | None:
    pid = _attributes(resource.attributes).get("process.pid")
    return pid if isinstance(pid, int) else None


def _points(metric: Metric) -> Iterator[Point]:
    kind = metric.WhichOneof("data")
    if kind not in {"gauge", "sum"}:
        return
    for each in metric.gauge.data_points if kind == "gauge" else metric.sum.data_points:
        value = each.as_int if each.WhichOneof("value") == "as_int" else each.as_double
        yield Point(metric.name, value, _attributes(each.attributes))


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    attributes: Attributes = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind == "string_value":
            attributes[pair.key] = pair.value.string_value
        elif kind == "int_value":
            attributes[pair.key] = pair.value.int_value
        elif kind == "double_value":
            attributes[pair.key] = pair.value.double_value
    return attributes


class Receiver:
    """Listens on a free port of the loopback interface, from `__enter__` to `__exit__`."""

    def __init__(self) -> None:
        self._arrived: SimpleQueue[Arrival] = SimpleQueue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self._arrived))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="receiver", daemon=True
        )

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_arrival(self, timeout_seconds: float) -> Arrival | None:
        """Return the next export or event, or None when none arrives in time."""
        try:
            return self._arrived.get(timeout=timeout_seconds)
        except Empty:
            return None


@dataclass(frozen=True)
class _Signal:
    """How to read one kind of request, and what to answer it with."""

    decode: Callable[[bytes, float], Sequence[Arrival]]
    answer: bytes


_SIGNALS: Final = {
    "/v1/metrics": _Signal(decode, ExportMetricsServiceResponse().SerializeToString()),
    "/v1/logs": _Signal(decode_events, ExportLogsServiceResponse().SerializeToString()),
}


def _handler_for(arrived: SimpleQueue[Arrival]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One exporter's connection."""

        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("Content-Length", ""))
            except ValueError:
                length = -1
            signal = _SIGNALS.get(self.path)
            if signal is None or not 0 <= length <= _LARGEST_BODY_BYTES:
                self.close_connection = True
                self._answer(HTTPStatus.NOT_FOUND if signal is None else HTTPStatus.BAD_REQUEST)
                return
            try:
                arrivals = signal.decode(self.rfile.read(length), time.monotonic())
            except ValueError:
                self._answer(HTTPStatus.BAD_REQUEST)
                return
            for arrival in arrivals:
                arrived.put(arrival)
            self._answer(HTTPStatus.OK, signal.answer)

        def _answer(self, status: HTTPStatus, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the terminal to the demo."""

    return Handler
