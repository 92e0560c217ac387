"""One sample, and each of its sources, on heaps of three sizes."""

from __future__ import annotations

from harness import MICRO, Effort, Line, column, fresh, seconds_per_call
from heaps import small_objects
from sampling import full_sample, usual_sample

from opentelemetry.instrumentation.memory._probes import platform_probes

TITLE = "One sample"

_SOURCES = {
    "resident": "statm",
    "shared": "status",
    "objects": "pymalloc",
    "native": "mallinfo2",
    "gc": "gc counters",
    "limit": "limits",
}
_HEAPS = {"near 10 MB": 0, "100 MB": 100_000_000, "1 GB": 1_000_000_000}
_FULL_SAMPLE_BAR_MICROSECONDS = 40


def measure(effort: Effort) -> list[Line]:
    """Return a line for the whole sample and one for each source, for each heap."""
    lines = []
    for heap, heap_bytes in _HEAPS.items():
        results = [fresh(costs, heap_bytes) for _ in range(effort.processes)]
        bar = _FULL_SAMPLE_BAR_MICROSECONDS if heap_bytes == 0 else None
        used = max(column(results, "used_megabytes"))
        lines.append(
            Line(
                f"heap {heap}: every source read",
                column(results, "full", MICRO),
                "µs",
                bar,
                f"{used:.0f} MB in live blocks",
            )
        )
        lines.append(Line(f"heap {heap}: limits not due", column(results, "usual", MICRO), "µs"))
        lines += [
            Line(f"heap {heap}: {name} alone", column(results, source, MICRO), "µs")
            for source, name in _SOURCES.items()
        ]
    return lines


def costs(heap_bytes: int) -> dict[str, float]:
    """Return seconds per sample and per source, in a process with this much on its heap."""
    held = small_objects(heap_bytes)
    probes = platform_probes()
    seconds = {name: seconds_per_call(getattr(probes, name).read) for name in _SOURCES}
    seconds["full"] = seconds_per_call(full_sample())
    seconds["usual"] = seconds_per_call(usual_sample())
    seconds["used_megabytes"] = probes.objects.read().used_bytes / 1e6
    del held
    return seconds
