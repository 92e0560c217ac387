"""One sample, and each of its sources, on heaps of three sizes."""

from __future__ import annotations

import os
from pathlib import Path

from harness import MICRO, Effort, Line, column, fresh, seconds_per_call
from heaps import small_objects
from sampling import full_sample, sample_without_limits, usual_sample

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
_JEMALLOC = "libjemalloc.so.2"
_LIBRARY_FOLDERS = ("/usr/lib", "/usr/local/lib")


def measure(effort: Effort) -> list[Line]:
    """Return a line for the whole sample and one for each source, for each heap."""
    lines = []
    for heap, heap_bytes in _HEAPS.items():
        results = [fresh(costs, heap_bytes) for _ in range(effort.processes)]
        bar = _FULL_SAMPLE_BAR_MICROSECONDS if heap_bytes == 0 else None
        used = max(column(results, "used_megabytes"))
        lines.append(
            Line(
                f"heap {heap}: every source read, limits at rest",
                column(results, "without_limits", MICRO),
                "µs",
                bar,
                f"{used:.0f} MB in live blocks",
            )
        )
        lines += [
            Line(
                f"heap {heap}: every source read, limits too", column(results, "full", MICRO), "µs"
            ),
            Line(
                f"heap {heap}: limits at rest, status not due",
                column(results, "usual", MICRO),
                "µs",
            ),
        ]
        lines += [
            Line(f"heap {heap}: {name} alone", column(results, source, MICRO), "µs")
            for source, name in _SOURCES.items()
        ]
    return lines + _jemalloc_lines(effort)


def _jemalloc_lines(effort: Effort) -> list[Line]:
    """Return what malloc's figures cost where jemalloc serves it; nothing if there is none here."""
    found = (file for folder in _LIBRARY_FOLDERS for file in Path(folder).glob(f"**/{_JEMALLOC}"))
    library = next(found, None)
    if library is None:
        return []
    before = os.environ.get("LD_PRELOAD")
    os.environ["LD_PRELOAD"] = str(library)
    try:
        results = [fresh(native_cost) for _ in range(effort.processes)]
    finally:
        del os.environ["LD_PRELOAD"]
        if before is not None:
            os.environ["LD_PRELOAD"] = before
    return [Line("heap near 10 MB: jemalloc alone", column(results, "jemalloc", MICRO), "µs")]


def native_cost() -> dict[str, float]:
    """Return seconds for malloc's figures, by the name of the probe that reads them."""
    native = platform_probes().native
    return {native.name: seconds_per_call(native.read)}


def costs(heap_bytes: int) -> dict[str, float]:
    """Return seconds per sample and per source, in a process with this much on its heap."""
    held = small_objects(heap_bytes)
    probes = platform_probes()
    seconds = {name: seconds_per_call(getattr(probes, name).read) for name in _SOURCES}
    seconds["without_limits"] = seconds_per_call(sample_without_limits())
    seconds["full"] = seconds_per_call(full_sample())
    seconds["usual"] = seconds_per_call(usual_sample())
    seconds["used_megabytes"] = probes.objects.read().used_bytes / 1e6
    del held
    return seconds
