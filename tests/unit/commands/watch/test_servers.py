"""Both ways in: what is answered to whom."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import select
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.json_format import MessageToJson
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from tests.unit.commands.watch.building import Built, new_fleet

from opentelemetry.instrumentation.memory._commands.watch import http_server
from opentelemetry.instrumentation.memory._commands.watch.grpc_server import GrpcServer
from opentelemetry.instrumentation.memory._commands.watch.http_server import HttpServer
from opentelemetry.instrumentation.memory._commands.watch.receiving import Receiver
from opentelemetry.instrumentation.memory._commands.watch.sender import SendError, sender
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


# --- HTTP ----------------------------------------------------------------------------------------


def test_http_takes_protobuf_and_says_what_was_rejected() -> None:
    with http(receiver()) as port:
        status, (_, body) = post(port, TWICE.SerializeToString())
    answer = ExportMetricsServiceResponse.FromString(body)
    assert (status, answer.partial_success.rejected_data_points) == (200, 1)
    assert "duplicate 1" in answer.partial_success.error_message


def test_http_takes_json_and_answers_in_json() -> None:
    with http(receiver()) as port:
        body = MessageToJson(TWICE).encode()
        status, (_, answer) = post(port, body, Content_Type="application/json; charset=utf-8")
    assert status == 200
    assert json.loads(answer)["partialSuccess"]["rejectedDataPoints"] == "1"


@pytest.mark.parametrize("content_type", ["application/x-protobuf", "application/json"])
@pytest.mark.parametrize("body", [b"\xff\xff", b"{", b"[]", b'{"resourceMetrics": 7}'])
def test_http_answers_400_to_what_is_no_request(body: bytes, content_type: str) -> None:
    with http(receiver()) as port:
        assert post(port, body, Content_Type=content_type)[0] == 400


def test_http_answers_400_to_what_is_too_large() -> None:
    with http(receiver()) as port:
        assert post(port, b"\0" * 2049)[0] == 400


def test_http_does_not_unpack_more_than_is_allowed() -> None:
    with http(receiver()) as port:
        body = gzip.compress(b"\0" * 10**7)
        assert len(body) < 2048 * 8
        assert post(port, body[:2048], Content_Encoding="gzip")[0] == 400


@pytest.mark.parametrize("cut", [10, -3])
def test_http_answers_400_to_half_of_a_packed_body(cut: int) -> None:
    with http(receiver()) as port:
        assert post(port, gzip.compress(BODY)[:cut], Content_Encoding="gzip")[0] == 400


def test_http_takes_packed_bodies() -> None:
    with http(receiver()) as port:
        assert post(port, gzip.compress(BODY), Content_Encoding="gzip")[0] == 200


def post_raw(port: int, body: bytes, *headers: str) -> int:
    """Send a request as it is written here, and return the status of the answer."""
    first = "POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall((first + "".join(f"{each}\r\n" for each in headers)).encode())
        connection.sendall(b"\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1])


CHUNKED = "Transfer-Encoding: chunked"


def chunks(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    written = [b"%x;part\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"".join([*written, b"0\r\nX-Checked: no\r\n\r\n"])


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_http_takes_a_body_in_chunks(size: int) -> None:
    way_in = receiver()
    with http(way_in) as port:
        packed = gzip.compress(BODY)
        assert post_raw(port, chunks(BODY, size), CHUNKED) == 200
        assert post_raw(port, chunks(packed, size), CHUNKED, "Content-Encoding: gzip") == 200
    assert len(way_in.fleet.identities()) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"-1\r\n\r\n0\r\n\r\n",
        b"0x1\r\na\r\n0\r\n\r\n",
        b"fffffffff\r\n",
        b"2\r\nabc\r\n0\r\n\r\n",
        b"5\r\nab",
        chunks(BODY, 7)[:-2],
        chunks(b"\0" * 2049, 1000),
        b"0\r\n" + b"a: b\r\n" * 100 + b"\r\n",
        b"1" * 5000,
    ],
)
def test_http_answers_400_to_chunks_that_are_none(body: bytes) -> None:
    way_in = receiver()
    with http(way_in) as port:
        assert post_raw(port, body, CHUNKED) == 400
        assert post_raw(port, chunks(BODY, 7), CHUNKED) == 200
    assert way_in.waiting == 0


@pytest.mark.parametrize("headers", [(CHUNKED, "Content-Length: 3"), ("Transfer-Encoding: gzip",)])
def test_http_answers_400_where_a_body_ends_is_unclear(headers: tuple[str, ...]) -> None:
    with http(receiver()) as port:
        assert post_raw(port, chunks(BODY, 7), *headers) == 400


@pytest.mark.parametrize("begin", ["Content-Length: 2000\r\n\r\n", f"{CHUNKED}\r\n\r\n7d0\r\n"])
def test_http_does_not_wait_for_ever_for_a_body_that_comes_byte_by_byte(
    monkeypatch: pytest.MonkeyPatch, begin: str
) -> None:
    monkeypatch.setattr(http_server, "_PATIENCE_SECONDS", 2)
    way_in = receiver()
    sent = 0
    with http(way_in) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        head = f"POST /v1/metrics HTTP/1.1\r\nContent-Type: application/x-protobuf\r\n{begin}"
        slow.sendall(head.encode())
        while not select.select([slow], [], [], 0.05)[0] and sent < 2000:
            slow.sendall(b"x")
            sent += 1
        assert slow.recv(12) == b"HTTP/1.1 400"
        assert way_in.waiting == 0
    assert sent < 2000
    assert way_in.tally.requests == {"malformed": 1}


def test_http_does_not_wait_for_ever_for_the_head_of_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "_PATIENCE_SECONDS", 2)
    with http(receiver()) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"POST /v1/metrics HTTP/1.1\r\nX: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not select.select([slow], [], [], 0.05)[0] and sent < 2000:
                slow.sendall(b"x")
                sent += 1
            assert slow.recv(1) == b""
    assert sent < 2000


def test_http_has_no_other_paths_or_types() -> None:
    with http(receiver()) as port:
        assert post(port, BODY, "/v1/traces")[0] == 404
        assert post(port, BODY, Content_Type="text/plain")[0] == 415


def test_http_tells_a_sender_to_come_back_when_all_places_are_taken() -> None:
    way_in = receiver()
    way_in.enter()
    with http(way_in) as port:
        status, (headers, _) = post(port, BODY)
        assert (status, headers["Retry-After"]) == (429, "1")
        way_in.leave()
        assert post(port, BODY)[0] == 200
    assert way_in.tally.requests == {"busy": 1, "accepted": 1}


@pytest.mark.parametrize("shown", ["", "Bearer wrong", "Basic secret", "secret"])
def test_http_asks_for_the_token(shown: str) -> None:
    with http(receiver("secret")) as port:
        assert post(port, BODY, Authorization=shown)[0] == 401


def test_http_lets_in_who_shows_the_token() -> None:
    with http(receiver("secret")) as port:
        assert post(port, BODY, Authorization="Bearer secret")[0] == 200


def test_a_probe_needs_no_token() -> None:
    with (
        http(receiver("secret")) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        assert answer.status == 200


# --- gRPC ----------------------------------------------------------------------------------------


def test_grpc_says_what_was_rejected() -> None:
    with remote(receiver()) as port:
        answer = call(port, TWICE.SerializeToString())
    assert answer.partial_success.rejected_data_points == 1


@pytest.mark.parametrize("body", [b"\xff\xff", b"\0" * 2049])
def test_grpc_answers_that_a_request_is_malformed_or_too_large(body: bytes) -> None:
    with remote(receiver()) as port:
        assert refusal(port, body).code() is grpc.StatusCode.INVALID_ARGUMENT


def test_grpc_tells_a_sender_to_come_back_when_all_places_are_taken() -> None:
    way_in = receiver()
    way_in.enter()
    with remote(way_in) as port:
        error = refusal(port, BODY)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    details = {each.key: each.value for each in error.trailing_metadata()}
    status = Status.FromString(details["grpc-status-details-bin"])
    retry = RetryInfo()
    assert status.details[0].Unpack(retry)
    assert retry.retry_delay.seconds == 1


def test_grpc_asks_for_the_token() -> None:
    with remote(receiver("secret")) as port:
        assert refusal(port, BODY).code() is grpc.StatusCode.UNAUTHENTICATED
        assert not call(port, BODY, ("authorization", "Bearer secret")).HasField("partial_success")


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> WatchSettings:
    """Return settings with a certificate for loopback, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout", key, "-out", certificate,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return replace(SETTINGS, tls_certificate=str(certificate), tls_key=str(key))


def test_http_with_tls_is_spoken_only_to_who_trusts_the_certificate(
    encrypted: WatchSettings,
) -> None:
    with http(receiver(), encrypted) as port:
        address = f"https://127.0.0.1:{port}/healthz"
        trusting = ssl.create_default_context(cafile=encrypted.tls_certificate)
        with urllib.request.urlopen(address, timeout=10, context=trusting) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(address, timeout=10)


def test_http_asks_for_a_certificate_when_told_to(encrypted: WatchSettings) -> None:
    mutual = replace(encrypted, tls_client_ca=encrypted.tls_certificate)
    with http(receiver(), mutual) as port:
        address = f"https://127.0.0.1:{port}/healthz"
        trusting = ssl.create_default_context(cafile=encrypted.tls_certificate)
        with pytest.raises(OSError, match=r"(?i)certificate|reset|EOF|closed"):
            urllib.request.urlopen(address, timeout=10, context=trusting)
        assert encrypted.tls_certificate is not None
        trusting.load_cert_chain(encrypted.tls_certificate, encrypted.tls_key)
        with urllib.request.urlopen(address, timeout=10, context=trusting) as answer:
            assert answer.status == 200


def test_grpc_with_tls(encrypted: WatchSettings) -> None:
    assert encrypted.tls_certificate is not None
    with open(encrypted.tls_certificate, "rb") as file:  # noqa: PTH123 - a name, not a path
        credentials = grpc.ssl_channel_credentials(file.read())
    with (
        remote(receiver(), encrypted) as port,
        grpc.secure_channel(f"localhost:{port}", credentials) as channel,
    ):
        assert channel.unary_unary(METHOD)(BODY, timeout=10) == b""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_is_sent_by_the_usual_settings_arrives_with_tls_token_and_compression(
    encrypted: WatchSettings, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    way_in = receiver("secret")
    listening = remote if protocol == "grpc" else http
    with listening(way_in, encrypted) as port:
        for name, value in {
            "PROTOCOL": protocol,
            "ENDPOINT": f"https://localhost:{port}",
            "CERTIFICATE": encrypted.tls_certificate or "",
            "HEADERS": "authorization=Bearer%20secret",
            "COMPRESSION": "gzip",
        }.items():
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
        sending = sender("metrics")
        sending.send(BODY)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20wrong")
        refused = sender("metrics")
        with pytest.raises(SendError) as caught:
            refused.send(BODY)
        sending.close()
        refused.close()
    assert not caught.value.is_retryable
    assert way_in.tally.requests == {"accepted": 1, "unauthenticated": 1}


def test_an_address_that_is_taken_is_an_error_of_the_system() -> None:
    with remote(receiver()) as port:
        taken = replace(SETTINGS, grpc=Address("127.0.0.1", port))
        with pytest.raises(OSError, match=str(port)):
            GrpcServer(taken, receiver())


def test_what_is_taken_is_judged() -> None:
    way_in = receiver()
    with remote(way_in) as port:
        call(port, BODY)
    way_in.fleet.settle(math.inf)
    assert len(way_in.fleet.fresh_findings()) == 1
