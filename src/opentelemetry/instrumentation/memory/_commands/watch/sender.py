"""Sends OTLP requests to wherever the usual `OTEL_EXPORTER_OTLP_*` settings say."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped] # no stubs in its distribution
import requests
from opentelemetry.util.re import parse_env_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

Signal = Literal["metrics", "logs"]
SIGNALS: Final[tuple[Signal, ...]] = ("metrics", "logs")
_METHODS: Final[Mapping[Signal, str]] = {
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_RETRYABLE_HTTP: Final = {429, 502, 503, 504}
_RETRYABLE_GRPC: Final = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}


class SendError(Exception):
    """A request did not arrive.

    Attributes:
        is_retryable: Whether the same request may arrive later.
    """

    def __init__(self, cause: str, *, is_retryable: bool) -> None:
        super().__init__(cause)
        self.is_retryable = is_retryable


class Sender(Protocol):
    """Sends the requests of one signal."""

    def send(self, content: bytes) -> None:
        """Send one serialised request.

        Raises:
            SendError: It did not arrive.
        """

    def close(self) -> None:
        """End the connection."""


def sender(signal: Signal) -> Sender:
    """Return the sender that the environment describes.

    Raises:
        ValueError: A setting is not allowed; the message names it.
    """
    protocol = _setting(signal, "PROTOCOL") or "http/protobuf"
    if protocol == "http/protobuf":
        return _HttpSender(signal)
    if protocol == "grpc":
        return _GrpcSender(signal)
    raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r}: expected http/protobuf or grpc")


def _setting(signal: Signal, name: str) -> str:
    """Return the signal's own variable, or else the one for all signals."""
    for variable in (_variable(signal, name), f"OTEL_EXPORTER_OTLP_{name}"):
        value = os.environ.get(variable, "").strip()
        if value:
            return value
    return ""


def _variable(signal: Signal, name: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}"


def _timeout_seconds(signal: Signal) -> float:
    text = _setting(signal, "TIMEOUT") or "10"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"OTEL_EXPORTER_OTLP_TIMEOUT={text!r}: expected seconds above 0")
    return seconds


def _is_compressed(signal: Signal) -> bool:
    text = _setting(signal, "COMPRESSION").lower() or "none"
    if text not in {"none", "gzip"}:
        raise ValueError(f"OTEL_EXPORTER_OTLP_COMPRESSION={text!r}: expected gzip or none")
    return text == "gzip"


def _headers(signal: Signal) -> dict[str, str]:
    return dict(parse_env_headers(_setting(signal, "HEADERS"), liberal=True))


def _file(signal: Signal, name: str) -> bytes | None:
    path = _setting(signal, name)
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"OTEL_EXPORTER_OTLP_{name}={path!r}: {error.strerror}") from None


class _HttpSender:
    def __init__(self, signal: Signal) -> None:
        own = os.environ.get(_variable(signal, "ENDPOINT"), "").strip()
        base = _setting(signal, "ENDPOINT") or "http://localhost:4318"
        self._url = own or f"{base.rstrip('/')}/v1/{signal}"
        if urlsplit(self._url).scheme not in {"http", "https"}:
            raise ValueError(
                f"OTEL_EXPORTER_OTLP_ENDPOINT={self._url!r}: expected http:// or https://"
            )
        self._timeout = _timeout_seconds(signal)
        self._is_compressed = _is_compressed(signal)
        self._session = requests.Session()
        self._session.headers.update(_headers(signal))
        self._session.headers["Content-Type"] = "application/x-protobuf"
        if self._is_compressed:
            self._session.headers["Content-Encoding"] = "gzip"
        for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"):
            _file(signal, name)  # a name that leads nowhere is said at the start
        # Given with each request: a session's own would yield to REQUESTS_CA_BUNDLE.
        self._verify = _setting(signal, "CERTIFICATE") or True
        # Without any, requests would put what ~/.netrc says in place of the header that was set.
        self._session.auth = lambda request: request
        certificate, key = _setting(signal, "CLIENT_CERTIFICATE"), _setting(signal, "CLIENT_KEY")
        if certificate:
            self._session.cert = (certificate, key) if key else certificate

    def send(self, content: bytes) -> None:
        body = gzip.compress(content, 1) if self._is_compressed else content
        try:
            answer = self._session.post(
                self._url,
                data=body,
                timeout=self._timeout,
                allow_redirects=False,
                verify=self._verify,
            )
        except requests.RequestException as error:
            raise SendError(f"{self._url}: {error}", is_retryable=True) from error
        if not answer.ok or answer.is_redirect:
            raise SendError(
                f"{self._url}: {answer.status_code} {answer.reason}",
                is_retryable=answer.status_code in _RETRYABLE_HTTP,
            )

    def close(self) -> None:
        self._session.close()


class _GrpcSender:
    def __init__(self, signal: Signal) -> None:
        endpoint = _setting(signal, "ENDPOINT") or "http://localhost:4317"
        parts = urlsplit(endpoint)
        self._target = parts.netloc or endpoint
        self._timeout = _timeout_seconds(signal)
        self._metadata = tuple((name.lower(), text) for name, text in _headers(signal).items())
        insecure = _setting(signal, "INSECURE").lower()
        is_plain = parts.scheme == "http" or (parts.scheme != "https" and insecure == "true")
        options: dict[str, Any] = {
            "compression": grpc.Compression.Gzip
            if _is_compressed(signal)
            else grpc.Compression.NoCompression
        }
        if is_plain:
            self._channel = grpc.insecure_channel(self._target, **options)
        else:
            credentials = grpc.ssl_channel_credentials(
                _file(signal, "CERTIFICATE"),
                _file(signal, "CLIENT_KEY"),
                _file(signal, "CLIENT_CERTIFICATE"),
            )
            self._channel = grpc.secure_channel(self._target, credentials, **options)
        self._call = self._channel.unary_unary(_METHODS[signal])

    def send(self, content: bytes) -> None:
        try:
            self._call(content, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            code = error.code()
            raise SendError(
                f"{self._target}: {code.name} {error.details()}",
                is_retryable=code in _RETRYABLE_GRPC,
            ) from error

    def close(self) -> None:
        self._channel.close()
