"""What both protocols do with a request: let it in, read it, take it, answer it."""

from __future__ import annotations

import hmac
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from google.protobuf.json_format import (  # type: ignore[import-untyped]
    Parse,  # no stubs in its distribution
    ParseError,
)
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

if TYPE_CHECKING:
    from collections import Counter

    from opentelemetry.instrumentation.memory._commands.watch.fleet import Fleet
    from opentelemetry.instrumentation.memory._commands.watch.intake import Reason
    from opentelemetry.instrumentation.memory._commands.watch.tally import RequestOutcome, Tally

RETRY_SECONDS: Final = 1


class RefusedError(Exception):
    """A request that is not taken.

    Attributes:
        outcome: What it is counted as.
    """

    def __init__(self, outcome: RequestOutcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass
class Receiver:
    """The way in. Every public method may be called by any thread.

    Attributes:
        fleet: Takes what is read.
        tally: Counts the requests.
        largest_bytes: The largest request, unpacked.
        most_waiting: Requests that may wait for their turn; they are judged one after the other.
        token: The bearer token that senders must show.
    """

    fleet: Fleet
    tally: Tally
    largest_bytes: int
    most_waiting: int
    token: str | None = None
    waiting: int = 0
    _is_closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _has_left: threading.Condition = field(init=False)

    def __post_init__(self) -> None:
        self._has_left = threading.Condition(self._lock)

    def check(self, authorization: str | None) -> None:
        """Let only those in that show the token.

        Raises:
            RefusedError: The header is missing or wrong.
        """
        if self.token is None:
            return
        shown = (authorization or "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(shown, f"Bearer {self.token}".encode()):
            raise self.refused("unauthenticated", "a bearer token is needed")

    def check_size(self, size: int) -> None:
        """Let only those in that are not too large.

        Raises:
            RefusedError: It is.
        """
        if size > self.largest_bytes:
            raise self.refused("oversized", f"larger than {self.largest_bytes} bytes, unpacked")

    def enter(self) -> None:
        """Take a place among those that wait; whoever has entered must `leave`.

        Raises:
            RefusedError: There is none: the sender keeps its data and comes back.
        """
        with self._lock:
            if self.waiting < self.most_waiting and not self._is_closed:
                self.waiting += 1
                return
        raise self.refused("busy", "too many requests are waiting, or the end is near")

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            self.waiting -= 1
            self._has_left.notify_all()

    def close(self, timeout_seconds: float) -> bool:
        """Let no one in any more; return whether those that were let in are done by then.

        A connection that is open outlives its server, and would bring what nobody saves.
        """
        with self._lock:
            self._is_closed = True
            return self._has_left.wait_for(lambda: not self.waiting, timeout_seconds)

    def take(self, content: bytes, *, is_json: bool = False) -> ExportMetricsServiceResponse:
        """Return the answer to one request, once all that is in it was taken.

        Raises:
            RefusedError: It is none.
        """
        self.check_size(len(content))
        if is_json and not content.lstrip().startswith(b"{"):
            # The parser would take an empty list for an empty object.
            raise self.refused("malformed", "no OTLP metrics request as JSON")
        try:
            if is_json:
                request = Parse(content, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
            else:
                request = ExportMetricsServiceRequest.FromString(content)
        except (DecodeError, ParseError, UnicodeDecodeError, RecursionError) as error:
            what = "JSON" if is_json else "protobuf"
            raise self.refused("malformed", f"no OTLP metrics request as {what}") from error
        rejected = self.fleet.take(request, time.time())
        self.count("accepted")
        return _answer(rejected)

    def refused(self, outcome: RequestOutcome, message: str) -> RefusedError:
        """Return the error for a request, and count it."""
        self.count(outcome)
        return RefusedError(outcome, message)

    def count(self, outcome: RequestOutcome) -> None:
        """Count one request."""
        with self._lock:
            self.tally.requests[outcome] += 1


def _answer(rejected: Counter[Reason]) -> ExportMetricsServiceResponse:
    answer = ExportMetricsServiceResponse()
    if rejected.total():
        answer.partial_success.rejected_data_points = rejected.total()
        parts = [f"{reason} {count}" for reason, count in rejected.most_common()]
        answer.partial_success.error_message = f"rejected points: {', '.join(parts)}"
    return answer
