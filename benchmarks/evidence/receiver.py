"""Takes what one program sends over OTLP, and keeps the events of its leak."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_EVENT: Final = "process.memory.leak"


@dataclass(frozen=True)
class Event:
    """One event, with the time at which it was emitted, in seconds since 1970."""

    at: float
    attributes: dict[str, Any]

    @property
    def state(self) -> str:
        """Return `suspected`, `confirmed` or `recovered`."""
        return str(self.attributes["process.memory.leak.state"])

    @property
    def conclusion(self) -> str | None:
        """Return what an investigation had found by then, in words, or None before its end."""
        return self.attributes.get("process.memory.leak.conclusion")


class Receiver:
    """Listens on loopback while it is entered."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/logs":
                    receiver._events += _events(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        """Return the value for `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def events(self) -> list[Event]:
        """Return the events so far, in the order of arrival."""
        return list(self._events)

    def __enter__(self) -> Receiver:  # noqa: PYI034 - Self needs 3.11
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _events(body: bytes) -> Iterator[Event]:
    request = ExportLogsServiceRequest.FromString(body)
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                if record.event_name == _EVENT:
                    nanoseconds = record.time_unix_nano or record.observed_time_unix_nano
                    yield Event(nanoseconds / 1e9, _attributes(record))


def _attributes(record: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value")
        for each in record.attributes
    }
