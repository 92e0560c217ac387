"""Takes what one program sends over OTLP, and keeps the events of its leak."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.otlp_listener import OtlpListener, attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class Receiver(OtlpListener):
    """Listens on loopback while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[Event] = []

    def take(self, path: str, body: bytes) -> None:
        """Keep the events of an export of logs."""
        if path == "/v1/logs":
            self._events += _events(body)

    def events(self) -> list[Event]:
        """Return the events so far, in the order of arrival."""
        return list(self._events)


def _events(body: bytes) -> Iterator[Event]:
    request = ExportLogsServiceRequest.FromString(body)
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                if record.event_name == _EVENT:
                    nanoseconds = record.time_unix_nano or record.observed_time_unix_nano
                    yield Event(nanoseconds / 1e9, attributes(record))
