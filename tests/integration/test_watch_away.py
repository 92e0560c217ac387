"""A watch that is away, or too busy: the collector keeps what it can, and says what it cannot."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

import pytest
from benchmarks.fleet.generator import request
from tests.pipeline import Collector
from tests.tools import eventually, free_ports, running
from tests.watching import (
    ANY_TIME,
    BEGAN,
    COMMAND,
    FLEET,
    HEALTHY,
    INTERVAL_SECONDS,
    LEAKING,
    MOMENTS,
    Event,
    Sink,
    expected_events,
    post,
    same,
    send,
    watch,
)

from opentelemetry.instrumentation.memory._commands.watch.fleet import Fleet
from opentelemetry.instrumentation.memory._commands.watch.grpc_server import GrpcServer
from opentelemetry.instrumentation.memory._commands.watch.receiving import Receiver
from opentelemetry.instrumentation.memory._commands.watch.settings import Address, WatchSettings
from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )

    from opentelemetry.instrumentation.memory._commands.watch.tally import RequestOutcome


@pytest.fixture(scope="module")
def expected() -> set[Event]:
    return expected_events()


def test_the_collector_keeps_what_the_watch_cannot_take_yet(
    tmp_path: Path, expected: set[Event]
) -> None:
    grpc, http = free_ports(2)
    env = {"WATCH_ENDPOINT": f"127.0.0.1:{grpc}"}
    collector = Collector.on_free_ports(tmp_path / "collector", "watch.yaml", env=env)
    with Sink() as sink, collector.running() as server:
        post(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", range(MOMENTS))
        command = [COMMAND, "watch", f"--grpc=127.0.0.1:{grpc}", f"--http=127.0.0.1:{http}"]
        sent_to = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
        with running("watch", [*command, *ANY_TIME], tmp_path, sent_to) as late:
            eventually(lambda: same(set(sink.events), expected), server, late, seconds=120)


def away(tmp_path: Path, bound: int) -> tuple[Collector, str]:
    """Return a collector whose every request is a batch, and where its watch is to be."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    overlay = tmp_path / "batches.yaml"
    overlay.write_text("processors: { batch: { timeout: 0s } }")
    env = {"WATCH_ENDPOINT": address, "WATCH_QUEUE_BYTES": str(bound)}
    folder = tmp_path / "collector"
    return Collector.on_free_ports(folder, "watch.yaml", str(overlay), env=env), address


def test_nothing_is_lost_while_the_watch_is_away_up_to_the_bound(
    tmp_path: Path, expected: set[Event]
) -> None:
    # Far more requests than a queue that counts them would hold.
    requests = [
        request(part, BEGAN, moment * INTERVAL_SECONDS).SerializeToString()
        for moment in range(MOMENTS)
        for part in (HEALTHY, LEAKING)
    ]
    collector, address = away(tmp_path, bound=sum(map(len, requests)))
    with Sink() as sink, collector.running() as server:
        for each in requests:
            send(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", each)
        with watch(tmp_path, sink, f"--grpc={address}") as late:

            def every_sample_is_judged() -> None:
                assert sink.own.get("memory.watch.samples") == MOMENTS * len(FLEET)
                assert set(sink.events) == expected

            eventually(every_sample_is_judged, server, late.server, seconds=120)
    assert sink.own["memory.watch.points.rejected"] == 0


def test_what_is_beyond_the_bound_is_counted_and_holds_nobody_up(tmp_path: Path) -> None:
    fleet = [process for process in FLEET if process.runtime == "family"]
    requests = [request(fleet, BEGAN, moment * INTERVAL_SECONDS) for moment in range(50)]
    sizes = [len(each.SerializeToString()) for each in requests]
    held = 20
    collector, address = away(tmp_path, bound=sum(sizes[:held]))
    with Sink() as sink, collector.running() as server:
        for each in requests:
            send(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", each.SerializeToString())

        def the_rest_is_counted() -> None:
            page = f"{collector.url('COLLECTOR_METRICS_PORT')}/metrics"
            with urllib.request.urlopen(page, timeout=10) as answer:  # noqa: S310
                text = answer.read().decode()
            name = "otelcol_exporter_enqueue_failed_metric_points"
            (line,) = [each for each in text.splitlines() if each.startswith(name)]
            assert 'exporter="otlp_grpc/watch"' in line
            assert float(line.split()[-1]) == points(requests[held:])

        eventually(the_rest_is_counted, server)
        with watch(tmp_path, sink, f"--grpc={address}") as late:

            def what_was_held_arrives() -> None:
                assert sink.own.get("memory.watch.points") == points(requests[:held])

            eventually(what_was_held_arrives, server, late.server)


def points(requests: Sequence[ExportMetricsServiceRequest]) -> int:
    """Return how many points there are, all of them in gauges."""
    return sum(
        len(metric.gauge.data_points)
        for each in requests
        for of_resource in each.resource_metrics
        for metric in of_resource.scope_metrics[0].metrics
    )


def test_the_collector_comes_back_when_it_is_told_to(tmp_path: Path) -> None:
    settings = WatchSettings(
        grpc=Address("127.0.0.1", 0), max_age_seconds=1e9, max_future_seconds=1e9
    )
    way_in = Receiver(Fleet(settings, Tally()), Tally(), settings.max_request_bytes, 1)
    way_in.enter()
    own = GrpcServer(settings, way_in)
    own.start()
    env = {"WATCH_ENDPOINT": f"127.0.0.1:{own.port}"}
    collector = Collector.on_free_ports(tmp_path / "collector", "watch.yaml", env=env)
    try:
        with collector.running() as server:
            post(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", range(1))
            eventually(lambda: _counted(way_in, "busy"), server)
            way_in.leave()
            eventually(lambda: _counted(way_in, "accepted"), server)
    finally:
        own.stop(1)
    assert len(way_in.fleet.identities()) == len(FLEET)


def _counted(way_in: Receiver, outcome: RequestOutcome) -> None:
    assert way_in.tally.requests[outcome]
