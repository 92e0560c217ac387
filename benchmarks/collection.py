"""One metric collection by the SDK, beside system-metrics with the same metrics."""

from __future__ import annotations

from harness import MICRO, Effort, Line, fresh, ratios, seconds_per_call
from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sampling import LeapingClock

from opentelemetry.instrumentation.memory import MemoryInstrumentor, _metrics, _runtime

TITLE = "One collection by the SDK"

_PROCESS = ("process.memory.usage", "process.memory.virtual")
_GC = ("cpython.gc.collections", "cpython.gc.collected_objects", "cpython.gc.uncollectable_objects")


def measure(effort: Effort) -> list[Line]:
    """Return our cost, theirs, and the ratios, from processes that take turns."""
    lines = []
    for what, names in (
        ("`process.memory.usage` and `.virtual`", _PROCESS),
        ("these and `cpython.gc.*`", (*_PROCESS, *_GC)),
        ("all of each package", None),
    ):
        ours, resting, theirs = [], [], []
        for _ in range(effort.processes):
            ours.append(fresh(collect_ours, names, True) * MICRO)  # noqa: FBT003 - goes as JSON
            resting.append(fresh(collect_ours, names, False) * MICRO)  # noqa: FBT003
            theirs.append(fresh(collect_theirs, names) * MICRO)
        lines += [
            Line(f"{what}: this package, every source read", ours, "µs"),
            Line(f"{what}: this package, dear sources at rest", resting, "µs"),
            Line(f"{what}: system-metrics", theirs, "µs"),
            Line(f"{what}: every source read / system-metrics", ratios(ours, theirs), "times"),
            Line(f"{what}: at rest / system-metrics", ratios(resting, theirs), "times"),
        ]
    return lines


def collect_ours(names: list[str] | None, is_every_source_read: bool) -> float:  # noqa: FBT001
    """Return seconds per collection with our instruments, or only those of these names.

    A collection takes a sample. In a loop the budget keeps the dear sources at rest; once a minute
    all of them are due, which is what the other clock pretends.
    """
    if names is not None:
        # What is not asked for is not registered, as in system-metrics' own configuration.
        chosen = tuple(each for each in _metrics.INSTRUMENTS if each.name in names)
        vars(_metrics)["INSTRUMENTS"] = chosen
    if is_every_source_read:
        vars(_runtime)["SystemClock"] = LeapingClock
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    MemoryInstrumentor().instrument(meter_provider=provider)
    return seconds_per_call(reader.get_metrics_data)


def collect_theirs(names: list[str] | None) -> float:
    """Return seconds per collection with system-metrics, its defaults or only these names."""
    config = None if names is None else dict.fromkeys(names)
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    SystemMetricsInstrumentor(config=config).instrument(meter_provider=provider)
    return seconds_per_call(reader.get_metrics_data)
