"""The watch as a whole: starts, ticks, saves, stops."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from opentelemetry.util.re import parse_env_headers

from opentelemetry.instrumentation.memory._commands.watch.exporting import Exporter
from opentelemetry.instrumentation.memory._commands.watch.fleet import Fleet
from opentelemetry.instrumentation.memory._commands.watch.grpc_server import GrpcServer
from opentelemetry.instrumentation.memory._commands.watch.http_server import HttpServer
from opentelemetry.instrumentation.memory._commands.watch.outgoing import OwnMetrics
from opentelemetry.instrumentation.memory._commands.watch.receiving import Receiver
from opentelemetry.instrumentation.memory._commands.watch.sender import sender
from opentelemetry.instrumentation.memory._commands.watch.store import (
    SHARDS,
    StateStore,
    shard_of,
)
from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )

    from opentelemetry.instrumentation.memory._commands.watch.settings import WatchSettings

_logger = logging.getLogger(__name__)
_SERVICE_NAME: Final = "opentelemetry-memory-watch"
_TICK_SECONDS: Final = 0.25
_EXPIRY_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 5.0
_LAST_EXPORT_SECONDS: Final = 15.0


class Watch:
    """One instance, from `start` to `stop`.

    Raises:
        OSError: An address or a directory cannot be had, a file cannot be read.
        ValueError: A setting of the exporter is not allowed.
        DirectoryInUseError: Another instance keeps its state there.
    """

    def __init__(self, settings: WatchSettings) -> None:
        self._settings = settings
        self.tally = Tally()
        self.fleet = Fleet(settings, self.tally)
        token = _token(settings.token_file)
        interval = _export_interval_seconds()
        senders = (sender("metrics"), sender("logs"))
        self._receiver = Receiver(
            self.fleet, self.tally, settings.max_request_bytes, settings.max_waiting_requests, token
        )
        directory = settings.state_directory
        self._store = None if directory is None else StateStore(directory)
        self._grpc = None if settings.grpc is None else GrpcServer(settings, self._receiver)
        self._http = None if settings.http is None else HttpServer(settings, self._receiver)
        self._own = OwnMetrics(_own_resource(), time.time_ns())
        self._exporter = Exporter(self.fleet, self._own_request, senders, interval, self.tally)
        self._stopping = threading.Event()
        self._has_save_failed = False

    def start(self) -> None:
        """Restore what was saved, then listen."""
        if self._store is not None:
            count = self.fleet.restore(self._store.load(), time.time())
            _logger.info("restored %d processes", count)
        self._exporter.start()
        for name, server in (("gRPC", self._grpc), ("HTTP", self._http)):
            if server is not None:
                server.start()
                _logger.info("receiving OTLP over %s on port %d", name, server.port)

    def run(self) -> None:
        """Judge what has waited, forget what has gone, save; until `stop`."""
        next_expiry = time.monotonic() + _EXPIRY_SECONDS
        next_save, shard = time.monotonic(), 0
        while not self._stopping.wait(_TICK_SECONDS):
            self.fleet.settle(time.time())
            now = time.monotonic()
            if now >= next_expiry:
                self.fleet.expire(time.time())
                next_expiry = now + _EXPIRY_SECONDS
            # A file at a time, so that saving is never more than a short pause.
            while self._store is not None and now >= next_save and not self._stopping.is_set():
                self._save(shard)
                shard = (shard + 1) % SHARDS
                next_save += self._settings.save_interval_seconds / SHARDS
        self._finish()

    def stop(self) -> None:
        """End `run` soon; may be called by a signal's handler."""
        self._stopping.set()

    def _finish(self) -> None:
        """Take no more, judge what there is, keep and send it."""
        if self._http is not None:
            self._http.stop()
        if self._grpc is not None:
            self._grpc.stop(_GRACE_SECONDS)
        if not self._receiver.close(_GRACE_SECONDS):
            _logger.warning("a request had not arrived as a whole by the end")
        self.fleet.settle(float("inf"))
        self._exporter.end(_LAST_EXPORT_SECONDS)
        self.fleet.untell()
        if self._store is not None:
            for shard in range(SHARDS):
                self._save(shard)
            self._store.close()
            _logger.info("saved %d processes", len(self.fleet.identities()))

    def _save(self, shard: int) -> None:
        assert self._store is not None  # noqa: S101 - the callers have looked
        try:
            self._store.save(shard, self._states(shard))
        except OSError as error:
            self.tally.saves_failed += 1
            if not self._has_save_failed:
                _logger.warning("the state cannot be saved: %s", error)
            self._has_save_failed = True
        else:
            self._has_save_failed = False

    def _states(self, shard: int) -> Iterator[dict[str, object]]:
        for identity in self.fleet.identities():
            if shard_of(identity) == shard:
                state = self.fleet.state_of(identity)
                if state is not None:
                    yield state

    def _own_request(self) -> ExportMetricsServiceRequest:
        bounds = {
            "memory.watch.series.limit": ("{process}", self._settings.max_series),
            "memory.watch.queue.size": ("{request}", self._receiver.waiting),
            "memory.watch.queue.capacity": ("{request}", self._settings.max_waiting_requests),
        }
        return self._own.request(self.tally, self.fleet.states(), bounds)


def watch(settings: WatchSettings) -> None:
    """Watch until SIGTERM or SIGINT.

    Raises:
        OSError, ValueError, DirectoryInUseError: As `Watch`.
    """
    service = Watch(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.start()
    service.run()


def _token(path: str | None) -> str | None:
    if path is None:
        return None
    token = Path(path).read_text(encoding="utf-8").strip()
    if not token:
        raise ValueError(f"{path}: expected a token, found nothing")
    return token


def _export_interval_seconds() -> float:
    text = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip() or "60000"
    if not text.isdecimal() or not 0 < int(text) <= 86_400_000:  # noqa: PLR2004 - a day
        raise ValueError(f"OTEL_METRIC_EXPORT_INTERVAL={text!r}: expected milliseconds, above 0")
    return int(text) / 1000


def _own_resource() -> dict[str, str]:
    found = parse_env_headers(os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""), liberal=True)
    name = os.environ.get("OTEL_SERVICE_NAME", "").strip()
    # As an SDK does: without an id of its own the counts of several instances would be one series.
    made = {"service.name": _SERVICE_NAME, "service.instance.id": str(uuid.uuid4())}
    return {**made, **found, **({"service.name": name} if name else {})}
