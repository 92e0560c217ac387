"""Receives metrics over OTLP/HTTP, on loopback."""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from google.protobuf.message import (  # type: ignore[import-untyped]
    DecodeError,  # no stubs in its distribution
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from opentelemetry.instrumentation.memory._commands.demo.recording import Export, Point
from opentelemetry.instrumentation.memory._metrics import SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from typing_extensions import Self

_PATH: Final = "/v1/metrics"
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
            pid = _attributes(resource.resource.attributes).get("process.pid")
            exports.append(
                Export(arrived_at_seconds, pid if isinstance(pid, int) else None, points)
            )
    return exports


def _points(metric: Metric) -> Iterator[Point]:
    kind = metric.WhichOneof("data")
    if kind not in {"gauge", "sum"}:
        return
    for each in metric.gauge.data_points if kind == "gauge" else metric.sum.data_points:
        value = each.as_int if each.WhichOneof("value") == "as_int" else each.as_double
        yield Point(metric.name, value, _attributes(each.attributes))


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind == "string_value":
            attributes[pair.key] = pair.value.string_value
        elif kind == "int_value":
            attributes[pair.key] = pair.value.int_value
    return attributes


class Receiver:
    """Listens on a free port of the loopback interface, from `__enter__` to `__exit__`."""

    def __init__(self) -> None:
        self._arrived: SimpleQueue[Export] = SimpleQueue()
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

    def next_export(self, timeout_seconds: float) -> Export | None:
        """Return the next export, or None when none arrives in time."""
        try:
            return self._arrived.get(timeout=timeout_seconds)
        except Empty:
            return None


def _handler_for(arrived: SimpleQueue[Export]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One exporter's connection."""

        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("Content-Length", ""))
            except ValueError:
                length = -1
            if self.path != _PATH or not 0 <= length <= _LARGEST_BODY_BYTES:
                self.close_connection = True
                self._answer(HTTPStatus.NOT_FOUND if self.path != _PATH else HTTPStatus.BAD_REQUEST)
                return
            try:
                exports = decode(self.rfile.read(length), time.monotonic())
            except ValueError:
                self._answer(HTTPStatus.BAD_REQUEST)
                return
            for export in exports:
                arrived.put(export)
            self._answer(HTTPStatus.OK)

        def _answer(self, status: HTTPStatus) -> None:
            body = ExportMetricsServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the terminal to the demo."""

    return Handler
