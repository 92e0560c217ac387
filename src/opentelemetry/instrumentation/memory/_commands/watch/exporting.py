"""Sends what is found: changes of state at once, metrics at their interval."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.watch.outgoing import (
    log_request,
    metric_requests,
)
from opentelemetry.instrumentation.memory._commands.watch.sender import SendError

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )

    from opentelemetry.instrumentation.memory._commands.watch.fleet import Fleet
    from opentelemetry.instrumentation.memory._commands.watch.sender import Sender
    from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

_logger = logging.getLogger(__name__)
_EVENTS_A_REQUEST: Final = 500
_SHORTEST_WAIT_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 60.0


class Exporter:
    """A thread that sends. What does not arrive is tried again: events as they are, metrics anew.

    Args:
        fleet: Whose findings are sent.
        own: Returns what the watch says about itself.
        senders: Of metrics and of events.
        interval_seconds: Between two exports of metrics.
        tally: Counts what failed.
    """

    def __init__(
        self,
        fleet: Fleet,
        own: Callable[[], ExportMetricsServiceRequest],
        senders: tuple[Sender, Sender],
        interval_seconds: float,
        tally: Tally,
    ) -> None:
        self._fleet = fleet
        self._own = own
        self._metrics, self._logs = senders
        self._interval_seconds = interval_seconds
        self._tally = tally
        self._ending = threading.Event()
        self._has_failed = False
        self._wait_seconds = _SHORTEST_WAIT_SECONDS
        self._wake = fleet.has_events
        self._thread = threading.Thread(target=self._run, name="exporter", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def end(self, timeout_seconds: float) -> None:
        """Send everything once more and stop; what takes longer is given up."""
        self._ending.set()
        self._wake.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        next_metrics = time.monotonic() + self._interval_seconds
        while not self._ending.is_set():
            retry_seconds = self._send_events()
            if time.monotonic() >= next_metrics:
                self._send_metrics()
                next_metrics = time.monotonic() + self._interval_seconds
            remaining = max(next_metrics - time.monotonic(), 0.0)
            if retry_seconds:
                self._ending.wait(min(retry_seconds, remaining))
            else:
                self._wake.wait(remaining)
        self._send_events()
        self._send_metrics()
        self._metrics.close()
        self._logs.close()

    def _send_events(self) -> float:
        """Send all that wait; return after how many seconds to try again when that failed."""
        while events := self._fleet.events(_EVENTS_A_REQUEST):
            error = self._try(self._logs, log_request(events))
            if error is not None and error.is_retryable:
                self._wait_seconds = min(2 * self._wait_seconds, _LONGEST_WAIT_SECONDS)
                return self._wait_seconds
            if error is not None:
                self._tally.events_dropped += len(events)
            self._wait_seconds = _SHORTEST_WAIT_SECONDS
            self._fleet.sent(events)
        return 0.0

    def _send_metrics(self) -> None:
        # What fails is not kept: the next export has newer verdicts of all that still report.
        for request in (self._own(), *metric_requests(self._fleet.fresh_findings())):
            self._try(self._metrics, request)

    def _try(self, sender: Sender, request: Message) -> SendError | None:
        """Send one request; return why it did not arrive, if so."""
        try:
            sender.send(request.SerializeToString())
        except SendError as error:
            found = error
        except Exception as error:  # noqa: BLE001 - nobody else sends: this thread must not end
            found = SendError(repr(error), is_retryable=True)
        else:
            self._has_failed = False
            return None
        self._tally.exports_failed += 1
        if not self._has_failed:
            _logger.warning("cannot be sent: %s", found)
        self._has_failed = True
        return found
