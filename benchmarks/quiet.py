"""A minute in which the application does nothing: what does this package use?"""

from __future__ import annotations

import gc
import resource
import time
from typing import Any

from harness import PERCENT, Effort, Line, Task, column, ratios
from heaps import free_chunks, small_objects
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)

from opentelemetry.instrumentation.memory import MemoryInstrumentor

TITLE = "A quiet process at the defaults"

# Heap in bytes, free chunks, and whether a reader collects once a minute.
_CASES = {
    "small heap": (0, 0, True),
    "small heap, no metric reader": (0, 0, False),
    "1 GB heap": (10**9, 0, True),
    "a million free chunks": (0, 10**6, True),
}
_BAR_PERCENT = 0.03
# From the shortest interval, after filling the heap, to the longest; and past the first look at it.
_SETTLING_SECONDS = 30.0
_TWINS = 3


def measure(effort: Effort) -> list[Line]:
    """Return the CPU share with and without this package, and what its own meter says of it."""
    settling_seconds = min(_SETTLING_SECONDS, 2 * effort.quiet_seconds)
    tasks = {
        (case, is_instrumented, twin): Task(
            idle, *details, is_instrumented, settling_seconds, effort.quiet_seconds
        )
        for case, details in _CASES.items()
        for is_instrumented in (True, False)
        for twin in range(_TWINS if is_instrumented else 1)
    }
    results = {key: task.result() for key, task in tasks.items()}
    lines = []
    for case in _CASES:
        plain = results[case, False, 0]["cpu_share"]
        found = [results[case, True, twin] for twin in range(_TWINS)]
        added = [share - plain for share in column(found, "cpu_share")]
        lines += [
            Line(
                f"{case}: added by this package",
                [PERCENT * share for share in added],
                "% of a core",
                _BAR_PERCENT,
            ),
            Line(f"{case}: the same process without it", [PERCENT * plain], "% of a core"),
            Line(
                f"{case}: `process.memory.monitor.cpu.time` / added",
                ratios(column(found, "meter_share"), added),
                "times",
            ),
        ]
    return lines


def idle(  # noqa: PLR0913, PLR0917
    heap_bytes: int,
    chunks: int,
    is_collected: bool,  # noqa: FBT001 - passed by position as JSON
    is_instrumented: bool,  # noqa: FBT001
    settling_seconds: float,
    seconds: float,
) -> dict[str, float]:
    """Return the shares of a core used while the main thread sleeps, by the kernel and the meter.

    The heap is filled after instrumenting, as in a real service.
    """
    # At its defaults this reader collects once a minute.
    readers = [PeriodicExportingMetricReader(_Nowhere())] if is_collected else []
    provider = MeterProvider(metric_readers=readers)
    if is_instrumented:
        MemoryInstrumentor().instrument(meter_provider=provider)
    held = small_objects(heap_bytes)
    if chunks:
        free_chunks(chunks)
    # Else whoever allocates next, in this case the SDK's reader, pays for looking at all of it.
    gc.collect()
    time.sleep(settling_seconds)
    meter_before, cpu_before = _meter_seconds(), _cpu_seconds()
    time.sleep(seconds)
    cpu_after, meter_after = _cpu_seconds(), _meter_seconds()
    del held
    return {
        "cpu_share": (cpu_after - cpu_before) / seconds,
        "meter_share": (meter_after - meter_before) / seconds,
    }


class _Nowhere(MetricExporter):
    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        del metrics_data, timeout_millis, kwargs
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        del timeout_millis
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        del timeout_millis, kwargs


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _meter_seconds() -> float:
    # What `process.memory.monitor.cpu.time` would report, without a collection that adds to it.
    runtime = MemoryInstrumentor()._runtime  # noqa: SLF001
    return 0.0 if runtime is None else runtime.cpu_seconds()
