"""A receiver of OTLP over HTTP on loopback, which remembers what it was sent."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from tests.otlp_listener import OtlpListener, attributes

from opentelemetry.instrumentation.memory._metrics import SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What else may be installed, and is not under test.
OTHERS = "system_metrics,aiohttp-server,asgi,celery,django,fastapi,flask,wsgi"

Found = TypeVar("Found")


@dataclass(frozen=True)
class Point:
    """One data point with what it belongs to."""

    export: int
    scope: str
    metric: str
    unit: str
    value: float
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]

    @property
    def instance(self) -> str:
        """Return the process that sent it."""
        return str(self.resource.get("service.instance.id"))


class OtlpSink(OtlpListener):
    """Keeps this package's metrics."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self._arrived = threading.Condition(threading.RLock())
        self._points: list[Point] = []
        self._exports = 0

    def take(self, path: str, body: bytes) -> None:
        """Remember an export of metrics."""
        if path.endswith("/v1/metrics"):
            self.receive(ExportMetricsServiceRequest.FromString(body))

    def environment(self, **more: str) -> dict[str, str]:
        """Return what makes a program send its metrics here, three times a second."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_METRIC_EXPORT_INTERVAL": "300",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": OTHERS,
            **more,
        }

    def receive(self, request: ExportMetricsServiceRequest) -> None:
        """Remember one export."""
        with self._arrived:
            self._exports += 1
            self._points += _points(request, self._exports)
            self._arrived.notify_all()

    def exports(self) -> int:
        """Return how many exports have arrived, empty ones included."""
        with self._arrived:
            return self._exports

    def points(self, metric: str = "", instance: str = "") -> list[Point]:
        """Return this package's points in the order of arrival, all or some."""
        with self._arrived:
            return [
                point
                for point in self._points
                if point.scope == SCOPE_NAME
                and metric in ("", point.metric)
                and instance in ("", point.instance)
            ]

    def wait_for(self, find: Callable[[], Found], seconds: float = 60) -> Found:
        """Return the first true value that `find` gives, asking again at each export."""
        deadline = time.monotonic() + seconds
        with self._arrived:
            while True:
                found = find()
                if found:
                    return found
                if not self._arrived.wait(deadline - time.monotonic()):
                    seen = sorted({(point.instance, point.metric) for point in self._points})
                    raise AssertionError(f"not within {seconds} s; {self._exports} exports: {seen}")


def _points(request: ExportMetricsServiceRequest, export: int) -> list[Point]:
    return [
        Point(
            export=export,
            scope=scope.scope.name,
            metric=metric.name,
            unit=metric.unit,
            value=point.as_int if point.HasField("as_int") else point.as_double,
            attributes=attributes(point),
            resource=attributes(resource.resource),
        )
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.WhichOneof("data") in ("gauge", "sum")
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]
