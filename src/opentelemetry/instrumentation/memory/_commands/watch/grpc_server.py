"""OTLP metrics over gRPC."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped] # no stubs in its distribution
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
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

_SERVICE: Final = "opentelemetry.proto.collector.metrics.v1.MetricsService"
# What is too large is answered by us, as gRPC's own answer does not say why and is not counted; up
# to a bound, as gRPC reads a message as a whole before it hands it to us.
_TRANSPORT_TIMES: Final = 4
_TRANSPORT_BYTES: Final = 2**30
# A sender that went without a word, within a request, would keep its thread for two hours.
_ASK_MILLISECONDS: Final = 60_000
_ANSWER_MILLISECONDS: Final = 20_000
# Beside those that wait: somebody must be free to say that all places are taken.
_FREE_THREADS: Final = 4
_CODES: Final[Mapping[RequestOutcome, grpc.StatusCode]] = {
    "malformed": grpc.StatusCode.INVALID_ARGUMENT,
    "oversized": grpc.StatusCode.INVALID_ARGUMENT,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "busy": grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class GrpcServer:
    """Listens from `start` to `stop`.

    Raises:
        OSError: The address cannot be had, or a certificate cannot be read.
    """

    def __init__(self, settings: WatchSettings, receiver: Receiver) -> None:
        self._receiver = receiver
        threads = settings.max_waiting_requests + _FREE_THREADS
        transport_bytes = min(_TRANSPORT_TIMES * settings.max_request_bytes, _TRANSPORT_BYTES)
        self._server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
            options=[
                ("grpc.max_receive_message_length", transport_bytes),
                ("grpc.so_reuseport", 0),
                ("grpc.keepalive_time_ms", _ASK_MILLISECONDS),
                # By either name: newer versions wait for the answer to a ping by the second.
                ("grpc.keepalive_timeout_ms", _ANSWER_MILLISECONDS),
                ("grpc.http2.ping_timeout_ms", _ANSWER_MILLISECONDS),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        handler = grpc.unary_unary_rpc_method_handler(
            # Read by us: gRPC would answer a malformed request with an internal error.
            self._export,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_SERVICE, {"Export": handler}),)
        )
        self.port = self._bind(settings)

    def _bind(self, settings: WatchSettings) -> int:
        address = str(settings.grpc)
        try:
            if settings.tls_certificate is None or settings.tls_key is None:
                return int(self._server.add_insecure_port(address))
            authorities = settings.tls_client_ca
            credentials = grpc.ssl_server_credentials(
                [
                    (
                        Path(settings.tls_key).read_bytes(),
                        Path(settings.tls_certificate).read_bytes(),
                    )
                ],
                root_certificates=Path(authorities).read_bytes() if authorities else None,
                require_client_auth=authorities is not None,
            )
            return int(self._server.add_secure_port(address, credentials))
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from error

    def start(self) -> None:
        """Begin to listen."""
        self._server.start()

    def stop(self, grace_seconds: float) -> None:
        """Let no one in any more, and wait for those that are."""
        self._server.stop(grace_seconds).wait()

    def _export(self, content: bytes, context: Any) -> Any:
        metadata = {each.key: each.value for each in context.invocation_metadata()}
        try:
            self._receiver.check(metadata.get("authorization"))
            self._receiver.enter()
            try:
                return self._receiver.take(content)
            finally:
                self._receiver.leave()
        except RefusedError as error:
            code = _CODES[error.outcome]
            if error.outcome == "busy":
                # Only with this does a sender know that it may try again.
                status = Status(code=code.value[0], message=str(error))
                retry = RetryInfo()
                retry.retry_delay.seconds = RETRY_SECONDS
                status.details.add().Pack(retry)
                details = ("grpc-status-details-bin", status.SerializeToString())
                context.set_trailing_metadata((details,))
            context.abort(code, str(error))
