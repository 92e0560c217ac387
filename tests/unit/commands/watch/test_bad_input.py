"""Whatever is wrong with a point, by real requests: counted, said, and in nobody's way."""

from __future__ import annotations

import math
import urllib.request
from typing import TYPE_CHECKING, Literal

import grpc
import pytest
from google.protobuf.json_format import MessageToJson, Parse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from tests.unit.commands.watch.building import CUMULATIVE, NODE, NOW, SECOND, Built

from opentelemetry.instrumentation.memory._commands.watch.fleet import Fleet
from opentelemetry.instrumentation.memory._commands.watch.grpc_server import GrpcServer
from opentelemetry.instrumentation.memory._commands.watch.http_server import HttpServer
from opentelemetry.instrumentation.memory._commands.watch.intake import REASONS, Reason
from opentelemetry.instrumentation.memory._commands.watch.outgoing import OwnMetrics
from opentelemetry.instrumentation.memory._commands.watch.receiving import Receiver
from opentelemetry.instrumentation.memory._commands.watch.settings import Address, WatchSettings
from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

ANYWHERE = Address("127.0.0.1", 0)
METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
RESIDENT = "process.memory.usage"
RIGHT = {**NODE, "service.instance.id": "right"}
Protocol = Literal["grpc", "application/x-protobuf", "application/json"]


class WayIn:
    """A watch's receiver, listening on both protocols."""

    def __init__(self) -> None:
        # The clock of the test is years old; a future that is too far still exists.
        settings = WatchSettings(
            grpc=ANYWHERE, http=ANYWHERE, max_series=2, max_age_seconds=1e9, max_future_seconds=1e9
        )
        self.tally = Tally()
        self.fleet = Fleet(settings, self.tally)
        receiver = Receiver(self.fleet, self.tally, settings.max_request_bytes, 1)
        self.http = HttpServer(settings, receiver)
        self.grpc = GrpcServer(settings, receiver)

    def send(self, request: ExportMetricsServiceRequest, by: Protocol) -> tuple[int, str]:
        """Return how many points were rejected and why, as the answer says it."""
        if by == "grpc":
            with grpc.insecure_channel(f"127.0.0.1:{self.grpc.port}") as channel:
                content = channel.unary_unary(METHOD)(request.SerializeToString(), timeout=10)
            answer = ExportMetricsServiceResponse.FromString(content)
        else:
            is_json = by == "application/json"
            body = MessageToJson(request).encode() if is_json else request.SerializeToString()
            url = f"http://127.0.0.1:{self.http.port}/v1/metrics"
            sent = urllib.request.Request(url, body, {"Content-Type": by})
            with urllib.request.urlopen(sent, timeout=10) as response:  # noqa: S310
                content = response.read()
            answer = ExportMetricsServiceResponse()
            if is_json:
                Parse(content, answer)
            else:
                answer.ParseFromString(content)
        return answer.partial_success.rejected_data_points, answer.partial_success.error_message

    def counted(self) -> dict[str, int]:
        """Return the points rejected so far, as the watch's own metric tells it."""
        request = OwnMetrics({}, 1).request(self.tally, {}, {})
        (scope,) = request.resource_metrics[0].scope_metrics
        (rejected,) = [
            each for each in scope.metrics if each.name == "memory.watch.points.rejected"
        ]
        return {
            point.attributes[0].value.string_value: point.as_int
            for point in rejected.sum.data_points
            if point.as_int
        }


@pytest.fixture
def way_in() -> Iterator[WayIn]:
    way = WayIn()
    way.http.start()
    way.grpc.start()
    yield way
    way.http.stop()
    way.grpc.stop(1)


def summed(*, monotonic: bool = False, temporality: int = CUMULATIVE) -> Built:
    built = Built()
    metric = built.metric(RESIDENT)
    metric.sum.is_monotonic = monotonic
    metric.sum.aggregation_temporality = temporality  # type: ignore[assignment]
    metric.sum.data_points.add(as_int=1, time_unix_nano=NOW * SECOND)
    return built


def histogram() -> Built:
    built = Built()
    built.metric(RESIDENT).histogram.data_points.add(time_unix_nano=NOW * SECOND, count=1)
    return built


def many_parts() -> Built:
    built = Built()
    for number in range(257):
        labels = {"jvm_memory_type": "heap", "jvm_memory_pool_name": str(number)}
        built.size(1, "jvm.memory.used", **labels)
    return built


def of(name: str) -> Built:
    return Built({**NODE, "service.instance.id": name})


# What was sent before, and what is then wrong.
MISTAKES: dict[Reason, tuple[list[Built], Built]] = {
    "wrong_type": ([], histogram()),
    "counter": ([], summed(monotonic=True)),
    "delta": ([], summed(temporality=1)),
    "unit": ([], Built().size(7, unit="furlong")),
    "value": ([], Built().size(math.nan)),
    "segment": ([], Built().size(7, "process.memory.resident", process_memory_segment="attic")),
    "time": ([], Built().size(7, seconds=-NOW)),
    "future": ([], Built().size(7, seconds=2e9)),
    "too_old": ([], Built().size(7, seconds=-1.6e9)),
    "no_identity": ([], Built({}).size(7)),
    "resource_size": ([], Built({**NODE, "process.command_line": "x" * 2**17}).size(7)),
    "series_limit": ([of("right").size(7, seconds=-15), of("b").size(7)], of("c").size(7)),
    "too_many_points": ([], many_parts()),
    "out_of_order": ([Built().size(7, seconds=30)], Built().size(8, seconds=15)),
    "duplicate": ([Built().size(7)], Built().size(7)),
    "collision": ([Built().size(7)], Built().size(8)),
    "late": ([Built().size(7)], Built().size(3, "process.runtime.memory.heap.used")),
}


def test_there_is_a_mistake_for_every_reason() -> None:
    assert MISTAKES.keys() == REASONS.keys()


@pytest.mark.parametrize("by", ["grpc", "application/x-protobuf", "application/json"])
@pytest.mark.parametrize("reason", MISTAKES)
def test_a_wrong_point_is_counted_and_the_right_ones_beside_it_are_judged(
    way_in: WayIn, reason: Reason, by: Protocol
) -> None:
    before, wrong = MISTAKES[reason]
    for each in before:
        assert way_in.send(each.request, by) == (0, "")
    way_in.fleet.settle(math.inf)
    way_in.fleet.fresh_findings()
    request = ExportMetricsServiceRequest()
    request.MergeFrom(wrong.request)
    request.MergeFrom(Built(RIGHT).size(7).request)

    assert way_in.send(request, by) == (1, f"rejected points: {reason} 1")
    assert way_in.counted() == {reason: 1}
    way_in.fleet.settle(math.inf)
    judged = [finding.resource for finding in way_in.fleet.fresh_findings()]
    assert request.resource_metrics[1].resource.SerializeToString(deterministic=True) in judged


@pytest.mark.parametrize("by", ["grpc", "application/x-protobuf", "application/json"])
def test_of_one_name_from_two_scopes_neither_is_a_mistake(way_in: WayIn, by: Protocol) -> None:
    request = Built(scope="opentelemetry.instrumentation.system_metrics").size(900).request
    own = Built(scope="opentelemetry.instrumentation.memory").size(7).request
    request.resource_metrics[0].scope_metrics.extend(own.resource_metrics[0].scope_metrics)
    assert way_in.send(request, by) == (0, "")
    way_in.fleet.settle(math.inf)
    (finding,) = way_in.fleet.fresh_findings()
    assert finding.outcome.moment.sample.resident_bytes == 7


@pytest.mark.parametrize("by", ["grpc", "application/x-protobuf", "application/json"])
def test_of_one_name_in_two_kinds_the_one_that_is_a_size_is_judged(
    way_in: WayIn, by: Protocol
) -> None:
    request = Built().size(7).request
    other = histogram().request.resource_metrics[0].scope_metrics
    request.resource_metrics[0].scope_metrics.extend(other)
    assert way_in.send(request, by) == (1, "rejected points: wrong_type 1")
    way_in.fleet.settle(math.inf)
    (finding,) = way_in.fleet.fresh_findings()
    assert finding.outcome.moment.sample.resident_bytes == 7
