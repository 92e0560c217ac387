"""Requests for the tests of the watch, built in a line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from opentelemetry.instrumentation.memory._commands.watch.fleet import Fleet
from opentelemetry.instrumentation.memory._commands.watch.settings import WatchSettings
from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

NOW: Final = 1_700_000_000
SECOND: Final = 10**9
NODE: Final = {"service.name": "shop", "service.instance.id": "a"}
CUMULATIVE: Final = 2
MIB: Final = 2**20


class Built:
    """A request of one resource."""

    def __init__(self, resource: Mapping[str, str] | None = None, scope: str = "test") -> None:
        self.request = ExportMetricsServiceRequest()
        self._resource = self.request.resource_metrics.add()
        for name, value in (NODE if resource is None else resource).items():
            self._resource.resource.attributes.add(key=name).value.string_value = value
        self._scope = self._resource.scope_metrics.add()
        self._scope.scope.name = scope

    def metric(self, name: str, unit: str = "By") -> Metric:
        """Add a metric without points."""
        metric: Metric = self._scope.metrics.add(name=name, unit=unit)
        return metric

    def size(
        self,
        value: float,
        name: str = "process.memory.usage",
        seconds: float = 0.0,
        unit: str = "By",
        start: int = 0,
        **attributes: str,
    ) -> Built:
        """Add a gauge with one point, so many seconds after `NOW`."""
        point = self.metric(name, unit).gauge.data_points.add(
            time_unix_nano=NOW * SECOND + round(seconds * SECOND), start_time_unix_nano=start
        )
        if isinstance(value, float):
            point.as_double = value
        else:
            point.as_int = value
        for key, text in attributes.items():
            name = key.replace("_", ".")
            point.attributes.add(key=name).value.string_value = text
        return self


def new_fleet(**settings: float) -> Fleet:
    """Return a fleet that takes points of any time."""
    anytime = {"max_age_seconds": 1e9, "max_future_seconds": 1e9, **settings}
    return Fleet(WatchSettings(**anytime), Tally())  # type: ignore[arg-type] # numbers of both kinds


def rejections(fleet: Fleet, *built: Built) -> dict[str, int]:
    """Send these one after the other; return what the last one had rejected."""
    rejected: dict[str, int] = {}
    for each in built:
        rejected = {**fleet.take(each.request, NOW)}
    return rejected


def judged(fleet: Fleet) -> int:
    """Return how many processes have a new verdict."""
    fleet.settle(math.inf)
    return len(fleet.fresh_findings())


def course(fleet: Fleet, sizes: list[int], start: int, first: int = 0) -> None:
    """Send these sizes of one process, one in 15 seconds, and judge them."""
    for number, size in enumerate(sizes, first):
        fleet.take(Built().size(size, seconds=15.0 * number, start=start).request, NOW)
    fleet.settle(math.inf)
