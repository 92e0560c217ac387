"""OTLP metrics over HTTP, as protobuf or JSON."""

from __future__ import annotations

import contextlib
import io
import logging
import ssl
import sys
import threading
import time
import zlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING, Any, ClassVar, Final

from google.protobuf.json_format import MessageToJson  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from opentelemetry.instrumentation.memory._commands.watch.receiving import (
    RETRY_SECONDS,
    Receiver,
    RefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.instrumentation.memory._commands.watch.settings import WatchSettings
    from opentelemetry.instrumentation.memory._commands.watch.tally import RequestOutcome

_logger = logging.getLogger(__name__)
_JSON: Final = "application/json"
_PROTOBUF: Final = "application/x-protobuf"
_STATUS: Final[Mapping[RequestOutcome, HTTPStatus]] = {
    "malformed": HTTPStatus.BAD_REQUEST,
    "oversized": HTTPStatus.BAD_REQUEST,
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "busy": HTTPStatus.TOO_MANY_REQUESTS,
}
# From one answer on a connection until the next request has arrived as a whole.
_PATIENCE_SECONDS: Final = 75
_POLL_SECONDS: Final = 0.1
# Connections that stay open between their requests, beside those that wait.
_IDLE_CONNECTIONS: Final = 64
_LONGEST_LINE: Final = 1024
_MOST_TRAILERS: Final = 64
_MOST_DIGITS: Final = 8
_HEXADECIMAL: Final = frozenset(b"0123456789abcdefABCDEF")
# Either of gzip and zlib, told by the first bytes.
_ANY_HEADER: Final = 32 + zlib.MAX_WBITS


class HttpServer:
    """Listens from `start` to `stop`.

    Raises:
        OSError: The address cannot be had, or a certificate cannot be read.
    """

    def __init__(self, settings: WatchSettings, receiver: Receiver) -> None:
        if settings.http is None:
            raise ValueError("no address to listen on")
        most = settings.max_waiting_requests + _IDLE_CONNECTIONS
        self._server = _Server(
            settings, type("_Handler", (_Handler,), {"receiver": receiver}), most
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="http", daemon=True
        )
        self.port = int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Let no one in any more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, settings: WatchSettings, handler: type[BaseHTTPRequestHandler], most: int
    ) -> None:
        address = settings.http
        assert address is not None  # noqa: S101 - checked by the caller
        self.address_family = AF_INET6 if ":" in address.host else AF_INET
        self._places = threading.BoundedSemaphore(most)
        self._tls: ssl.SSLContext | None = None
        if settings.tls_certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(settings.tls_certificate, settings.tls_key)
            if settings.tls_client_ca is not None:
                self._tls.load_verify_locations(settings.tls_client_ca)
                self._tls.verify_mode = ssl.CERT_REQUIRED
        super().__init__((address.host, address.port), handler)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.settimeout(_PATIENCE_SECONDS)
        if self._tls is not None:
            # The handshake is left to the connection's own thread: it may take for ever.
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - theirs
        """Say nothing of a connection that breaks: its sender knows, and tries again."""
        cause = sys.exc_info()[1]
        if not isinstance(cause, OSError):
            _logger.error("a request of %s failed", client_address, exc_info=cause)


class _Patient(io.RawIOBase):
    """Reads from a connection until a moment, also from a sender that sends a byte now and then."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Return how many bytes have come.

        Raises:
            TimeoutError: The moment is over.
        """
        self._connection.settimeout(max(self.until - time.monotonic(), 0.001))
        return int(self._connection.recv_into(buffer))


class _Handler(BaseHTTPRequestHandler):
    """One sender's connection."""

    receiver: ClassVar[Receiver]
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """Read with patience, but not for ever: whoever sends slowly keeps a place from others."""
        super().setup()
        self.rfile.close()
        self._patient = _Patient(self.connection)
        self.rfile = io.BufferedReader(self._patient)

    def handle_one_request(self) -> None:
        """Take one request, as a whole or not at all."""
        self._patient.until = time.monotonic() + _PATIENCE_SECONDS
        super().handle_one_request()

    def do_GET(self) -> None:
        """Say that there is somebody, without a token: for a probe."""
        found = self.path == "/healthz"
        self._answer(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND, b"", "text/plain")

    def do_POST(self) -> None:
        kind = self.headers.get_content_type()
        if self.path.partition("?")[0] != "/v1/metrics":
            self._refuse(HTTPStatus.NOT_FOUND, "metrics are received at /v1/metrics", kind)
        elif kind not in {_JSON, _PROTOBUF}:
            self._refuse(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected {_PROTOBUF} or {_JSON}", _JSON
            )
        else:
            try:
                self._take(kind)
            except RefusedError as error:
                self._refuse(_STATUS[error.outcome], str(error), kind)

    def _take(self, kind: str) -> None:
        self.receiver.check(self.headers.get("Authorization"))
        length = self.headers.get("Content-Length", "")
        is_chunked = "Transfer-Encoding" in self.headers
        if not is_chunked and not length.isdecimal():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "Content-Length is needed", kind)
            return
        if not is_chunked:
            self.receiver.check_size(int(length))
        self.receiver.enter()
        try:
            try:
                body = self._chunks() if is_chunked else self._exactly(int(length))
            except TimeoutError:
                raise self.receiver.refused("malformed", "the body came too slowly") from None
            answer = self.receiver.take(self._unpacked(body), is_json=kind == _JSON)
        finally:
            self.receiver.leave()
        self._answer(HTTPStatus.OK, _serialised(answer, kind), kind)

    def _exactly(self, length: int) -> bytes:
        body = self.rfile.read(length)
        if len(body) < length:
            raise self.receiver.refused("malformed", "the body ends early")
        return body

    def _chunks(self) -> bytes:
        """Return a body in chunks: so send those that pack while they send, such as Node.js."""
        is_clear = "Content-Length" not in self.headers
        if not is_clear or self.headers["Transfer-Encoding"].lower() != "chunked":
            raise self.receiver.refused("malformed", "expected chunks, and no Content-Length")
        body = bytearray()
        while size := self._chunk_size():
            self.receiver.check_size(len(body) + size)
            body += self._exactly(size)
            if self._line():
                raise self.receiver.refused("malformed", "a chunk is not as long as it says")
        for _ in range(_MOST_TRAILERS):
            if not self._line():
                return bytes(body)
        raise self.receiver.refused("malformed", "too many trailers")

    def _chunk_size(self) -> int:
        digits = self._line().partition(b";")[0].strip()
        if not 0 < len(digits) <= _MOST_DIGITS or not set(digits) <= _HEXADECIMAL:
            raise self.receiver.refused("malformed", "a chunk without its size")
        return int(digits, 16)

    def _line(self) -> bytes:
        line = self.rfile.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise self.receiver.refused("malformed", "the body ends early")
        return line.rstrip(b"\r\n")

    def _unpacked(self, body: bytes) -> bytes:
        coding = self.headers.get("Content-Encoding", "identity").lower()
        if coding == "identity":
            return body
        if coding not in {"gzip", "deflate"}:
            raise self.receiver.refused("malformed", "expected gzip or deflate, or none")
        unpacker = zlib.decompressobj(_ANY_HEADER)
        try:
            # One byte more than is allowed: enough to see that it is too much.
            content = unpacker.decompress(body, self.receiver.largest_bytes + 1)
        except zlib.error:
            raise self.receiver.refused("malformed", f"not {coding}") from None
        self.receiver.check_size(len(content))
        if not unpacker.eof:
            raise self.receiver.refused("malformed", f"the {coding} ends early")
        return content

    def _refuse(self, status: HTTPStatus, message: str, kind: str) -> None:
        # What was not read is still on its way.
        self.close_connection = True
        answer = Status(message=message)
        self._answer(status, _serialised(answer, kind), kind if kind == _JSON else _PROTOBUF)

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        with contextlib.suppress(OSError):
            self.connection.settimeout(_PATIENCE_SECONDS)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status == HTTPStatus.TOO_MANY_REQUESTS:
                self.send_header("Retry-After", str(RETRY_SECONDS))
            if status == HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", "Bearer")
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet: what happens is counted."""


def _serialised(message: Any, kind: str) -> bytes:
    if kind == _JSON:
        return bytes(MessageToJson(message, indent=None).encode())
    return bytes(message.SerializeToString())
