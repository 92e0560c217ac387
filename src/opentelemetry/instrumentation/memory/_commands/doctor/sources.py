"""Reads every source a few times, and says what follows from those that cannot be read."""

from __future__ import annotations

import time
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Final, TypeVar

from opentelemetry.instrumentation.memory._commands.doctor.report import LimitReport, SourceReport
from opentelemetry.instrumentation.memory._probes.cgroup import LimitProbe
from opentelemetry.instrumentation.memory._sampling.partition import partition
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory._probes import Probes
    from opentelemetry.instrumentation.memory._probes.base import Probe

Reading = TypeVar("Reading")

_TIMED_READS: Final = 31

_NO_FILE_AND_SHARED: Final = (
    "the segments file and shared are absent; their bytes are in other_anonymous"
)


def source_reports(probes: Probes) -> tuple[SourceReport, ...]:
    """Return a report of each source, the resident set first."""
    resident = _report(
        probes.resident,
        "resident set and virtual size",
        "process.memory.usage, .virtual and every segment are absent",
        lambda reading: {
            name: value for name, value in asdict(reading).items() if value is not None
        },
    )
    if resident.problem is None and "mapped_bytes" not in resident.values:
        resident = SourceReport(
            resident.name,
            resident.tells,
            resident.values,
            resident.cost_microseconds,
            consequence=_NO_FILE_AND_SHARED,
        )
    return (
        resident,
        _report(
            probes.shared,
            "shared memory, apart from mapped files",
            _NO_FILE_AND_SHARED,
            lambda reading: {"shared_bytes": reading},
        ),
        _report(
            probes.objects,
            "CPython's object allocator",
            "the segment python_heap and cpython.memory.heap.* are absent; "
            "retained is malloc's only",
            asdict,
        ),
        _report(
            probes.native,
            "the C heap",
            "the segment native_heap is absent, its bytes are in other_anonymous; "
            "retained is the object allocator's only",
            asdict,
        ),
        _report(
            probes.gc,
            "the cyclic garbage collector",
            "cpython.gc.* are absent",
            lambda reading: {"collections": sum(each.collections for each in reading)},
        ),
        _report(
            probes.limit,
            "memory limits",
            "process.memory.limit and .limit.utilization are absent",
            lambda reading: {} if reading is None else {"limit_bytes": reading.bytes},
        ),
    )


def segments(probes: Probes) -> dict[str, int]:
    """Return the segments of this process, in bytes; empty without a resident set."""
    objects, native = _read(probes.objects), _read(probes.native)
    resident = _read(probes.resident)
    if resident is None:
        return {}
    return dict(partition(resident, objects, native, _read(probes.shared)).present())


def limit_reports(
    probe: Probe[object],
) -> tuple[tuple[LimitReport, ...], tuple[str, ...]]:
    """Return all limits that were found, smallest first, and the files that cannot be read."""
    if not isinstance(probe, LimitProbe):
        return (), ()
    found = sorted(probe._limits(), key=lambda limit: limit.bytes)  # noqa: SLF001 - the probe's own doctor
    reports = tuple(
        LimitReport(limit.bytes, limit.origin, is_smallest=number == 0)
        for number, limit in enumerate(found)
    )
    return reports, probe.unreadable


def _report(
    probe: Probe[Reading],
    tells: str,
    consequence: str,
    values: Callable[[Reading], dict[str, int]],
) -> SourceReport:
    try:
        reading = probe.read()
        cost_microseconds = _cost_microseconds(probe)
    except (SourceUnavailable, OSError, ValueError) as error:
        return SourceReport(probe.name, tells, {}, problem=str(error), consequence=consequence)
    return SourceReport(probe.name, tells, values(reading), cost_microseconds)


def _read(probe: Probe[Reading]) -> Reading | None:
    try:
        return probe.read()
    except (SourceUnavailable, OSError, ValueError):
        return None


def _cost_microseconds(probe: Probe[object]) -> float:
    nanoseconds = []
    for _ in range(_TIMED_READS):
        began = time.perf_counter_ns()
        probe.read()
        nanoseconds.append(time.perf_counter_ns() - began)
    return median(nanoseconds) / 1000
