"""Both ways in: what is answered to whom."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import replace
from http.client import HTTPConnection

import grpc
import pytest
from google.protobuf.json_format import MessageToJson
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from tests.unit.commands.watch.serving import (
    BODY,
    METHOD,
    SETTINGS,
    TWICE,
    call,
    http,
    post,
    receiver,
    refusal,
    remote,
)

from opentelemetry.instrumentation.memory._commands.watch import grpc_server
from opentelemetry.instrumentation.memory._commands.watch.grpc_server import GrpcServer
from opentelemetry.instrumentation.memory._commands.watch.sender import SendError, sender
from opentelemetry.instrumentation.memory._commands.watch.settings import Address, WatchSettings

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


def test_http_takes_nothing_at_the_end_on_connections_that_are_still_open() -> None:
    way_in = receiver()
    kind = {"Content-Type": "application/x-protobuf"}
    with http(way_in) as port, contextlib.closing(HTTPConnection("127.0.0.1", port)) as kept:
        kept.request("POST", "/v1/metrics", BODY, kind)
        with kept.getresponse() as answer:
            assert answer.status == 200
            answer.read()
        way_in.close(0)
        kept.request("POST", "/v1/metrics", BODY, kind)
        with kept.getresponse() as answer:
            assert answer.status == 429


def test_the_end_waits_for_requests_that_were_let_in() -> None:
    way_in = receiver()
    way_in.enter()
    assert not way_in.close(0)
    way_in.leave()
    assert way_in.close(0)


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


def test_grpc_counts_what_is_too_large_up_to_four_times() -> None:
    way_in = receiver()
    with remote(way_in) as port:
        assert refusal(port, b"\0" * 4 * 2048).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert way_in.tally.requests == {"oversized": 1}


def test_grpc_itself_refuses_for_good_what_is_larger_than_four_times() -> None:
    way_in = receiver()
    with remote(way_in) as port:
        error = refusal(port, b"\0" * (4 * 2048 + 1))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    # With details a sender would read in them that it may try again.
    assert "grpc-status-details-bin" not in {each.key for each in error.trailing_metadata()}
    assert not way_in.tally.requests


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


def test_grpc_lets_go_of_a_sender_that_went_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grpc_server, "_ASK_MILLISECONDS", 200)
    monkeypatch.setattr(grpc_server, "_ANSWER_MILLISECONDS", 200)
    settings_frame = b"\0\0\0\4\0\0\0\0\0"
    with (
        remote(receiver()) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as silent,
    ):
        silent.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings_frame)
        # It is asked whether it is there, and never answers.
        while silent.recv(4096):
            pass


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
        with pytest.raises(OSError, match=r"(?i)certificate|reset|EOF|closed|broken pipe"):
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
