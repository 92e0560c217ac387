"""A process of greenlets from the beginning that works while it is investigated; prints JSON."""

# ruff: noqa: E402 - before anything else is imported

from gevent import monkey

monkey.patch_all()

import json
import sys
import time

import gevent
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from opentelemetry.instrumentation.memory import MemoryInstrumentor

SPENT = "process.memory.monitor.cpu.time"
WORK_SECONDS = 5.0


def spent_seconds(reader: InMemoryMetricReader) -> float:
    """Return the CPU time that the package says it has used."""
    found = reader.get_metrics_data()
    metrics = found.resource_metrics[0].scope_metrics[0].metrics
    (metric,) = [metric for metric in metrics if metric.name == SPENT]
    return float(metric.data.data_points[0].value)


def main() -> None:
    """Work for some seconds of CPU time."""
    reader = InMemoryMetricReader()
    instrumentor = MemoryInstrumentor()
    instrumentor.instrument(
        meter_provider=MeterProvider([reader]),
        min_interval_seconds=0.1,
        max_interval_seconds=0.1,
        evidence_budget_percent=50,
    )
    instrumentor.investigate()
    until = time.process_time() + WORK_SECONDS
    while time.process_time() < until:
        sum(range(100_000))
        gevent.sleep(0)
    told = {"spent": spent_seconds(reader), "process": time.process_time()}
    json.dump(told, sys.stdout)
    instrumentor.uninstrument()


if __name__ == "__main__":
    main()
