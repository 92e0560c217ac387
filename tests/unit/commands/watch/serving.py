"""Both ways into a watch, with a receiver behind them, and how to go through them."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from tests.unit.commands.watch.building import Built, new_fleet

from opentelemetry.instrumentation.memory._commands.watch.grpc_server import GrpcServer
from opentelemetry.instrumentation.memory._commands.watch.http_server import HttpServer
from opentelemetry.instrumentation.memory._commands.watch.receiving import Receiver
from opentelemetry.instrumentation.memory._commands.watch.settings import Address, WatchSettings
from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
ANYWHERE = Address("127.0.0.1", 0)
SETTINGS = WatchSettings(grpc=ANYWHERE, http=ANYWHERE, max_request_bytes=2048)
BODY = Built().size(7).request.SerializeToString()
TWICE = Built().size(7).size(7).request


def receiver(token: str | None = None) -> Receiver:
    return Receiver(new_fleet(), Tally(), SETTINGS.max_request_bytes, 1, token)


@contextlib.contextmanager
def http(way_in: Receiver, settings: WatchSettings = SETTINGS) -> Iterator[int]:
    server = HttpServer(settings, way_in)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


@contextlib.contextmanager
def remote(way_in: Receiver, settings: WatchSettings = SETTINGS) -> Iterator[int]:
    server = GrpcServer(settings, way_in)
    server.start()
    try:
        yield server.port
    finally:
        server.stop(1)


def post(port: int, body: bytes, path: str = "/v1/metrics", **headers: str) -> tuple[int, Any]:
    """Return the status and the answer's headers and body."""
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    sent = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/x-protobuf", **given}
    )
    try:
        with urllib.request.urlopen(sent, timeout=10) as answer:  # noqa: S310 - as above
            return answer.status, (answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, (error.headers, error.read())


def call(port: int, body: bytes, *metadata: tuple[str, str]) -> ExportMetricsServiceResponse:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = channel.unary_unary(METHOD)(body, timeout=10, metadata=metadata)
    return ExportMetricsServiceResponse.FromString(answer)


def refusal(port: int, body: bytes, *metadata: tuple[str, str]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call(port, body, *metadata)
    return caught.value
