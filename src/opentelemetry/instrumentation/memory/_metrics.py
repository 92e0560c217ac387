"""The instrument table; the callbacks of one collection report one sample."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakKeyDictionary

from opentelemetry.metrics import NoOpMeter, Observation, get_meter_provider
from opentelemetry.semconv.schemas import Schemas

from opentelemetry.instrumentation.memory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

    from opentelemetry.instrumentation.memory.evidence import RouteGrowth
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample


_logger = logging.getLogger(__name__)

SCOPE_NAME: Final = "opentelemetry.instrumentation.memory"
SCHEMA_URL: Final = Schemas.V1_37_0.value


class SampleSource(Protocol):
    """Where the callbacks get what they report."""

    def sample_for_collection(self) -> MemorySample | None:
        """Return the sample to report, or None when there is none."""
        ...

    def latest_verdict(self) -> LeakVerdict | None:
        """Return what the leak detector thinks, or None before its first sample."""
        ...

    def route_growth(self) -> tuple[RouteGrowth, ...]:
        """Return the routes that are known to keep memory."""
        ...

    def cpu_seconds(self) -> float:
        """Return the CPU time that this package has used in this process."""
        ...

    def thread_cpu(self) -> float:
        """Return the CPU clock of the calling thread, in seconds."""
        ...

    def add_collection_cpu_seconds(self, seconds: float) -> None:
        """Count CPU time that a callback has used."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What one collection reports: a sample, and what was thought and known at that moment."""

    sample: MemorySample
    verdict: LeakVerdict | None
    routes: tuple[RouteGrowth, ...] = ()


Point = tuple[float, "dict[str, Any] | None"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """One row of the metric table: its name and unit, and what it reports of a reading."""

    name: str
    kind: str
    unit: str
    description: str
    read: Callable[[Reading], Iterable[Point]]
    is_process_metric: bool = False


def _one(field: str) -> Callable[[Reading], Iterable[Point]]:
    def read(reading: Reading) -> Iterable[Point]:
        value = getattr(reading.sample, field)
        return () if value is None else ((value, None),)

    return read


def _segments(reading: Reading) -> Iterable[Point]:
    return [
        (value, {"process.memory.segment": segment})
        for segment, value in reading.sample.partition.present()
    ]


def _generations(field: str) -> Callable[[Reading], Iterable[Point]]:
    def read(reading: Reading) -> Iterable[Point]:
        return [
            (getattr(generation, field), {"cpython.gc.generation": number})
            for number, generation in enumerate(reading.sample.gc_generations)
        ]

    return read


def _risk(reading: Reading) -> Iterable[Point]:
    return () if reading.verdict is None else ((reading.verdict.risk, None),)


def _growth(reading: Reading) -> Iterable[Point]:
    return [
        (growth.bytes_per_second, {"process.memory.segment": growth.segment})
        for growth in (() if reading.verdict is None else reading.verdict.growth)
    ]


def _time_to_exhaustion(reading: Reading) -> Iterable[Point]:
    seconds = None if reading.verdict is None else reading.verdict.time_to_exhaustion_seconds
    return () if seconds is None else ((seconds, None),)


def _routes(reading: Reading) -> Iterable[Point]:
    return [(each.bytes_per_request, {"http.route": each.route}) for each in reading.routes]


CPU_TIME: Final = Instrument(
    "process.memory.monitor.cpu.time",
    "observable_counter",
    "s",
    "CPU time that memory monitoring has used in this process.",
    lambda _: (),
)

# Names of the semantic conventions (process.memory.*, cpython.gc.*) keep their meaning and unit.
INSTRUMENTS: Final = (
    Instrument(
        "process.memory.usage",
        "observable_up_down_counter",
        "By",
        "The amount of physical memory in use.",
        _one("resident_bytes"),
        is_process_metric=True,
    ),
    Instrument(
        "process.memory.virtual",
        "observable_up_down_counter",
        "By",
        "The amount of committed virtual memory.",
        _one("virtual_bytes"),
        is_process_metric=True,
    ),
    Instrument(
        "process.memory.resident",
        "observable_gauge",
        "By",
        "Resident set size by segment; the segments add up to process.memory.usage.",
        _segments,
    ),
    Instrument(
        "cpython.memory.heap.used",
        "observable_gauge",
        "By",
        "Bytes in live blocks of CPython's object allocator.",
        _one("heap_used_bytes"),
    ),
    Instrument(
        "cpython.memory.heap.committed",
        "observable_gauge",
        "By",
        "Bytes that CPython's object allocator has obtained from the system.",
        _one("heap_committed_bytes"),
    ),
    Instrument(
        "cpython.memory.external",
        "observable_gauge",
        "By",
        "Private memory in use outside CPython's object allocator.",
        _one("external_bytes"),
    ),
    Instrument(
        "process.memory.limit",
        "observable_gauge",
        "By",
        "The smallest memory limit that applies to the process.",
        _one("limit_bytes"),
    ),
    Instrument(
        "process.memory.limit.utilization",
        "observable_gauge",
        "1",
        "Resident set size as a share of the limit.",
        _one("limit_utilization"),
    ),
    Instrument(
        "process.memory.leak.risk",
        "observable_gauge",
        "1",
        "Probability that the process leaks memory.",
        _risk,
    ),
    Instrument(
        "process.memory.leak.growth",
        "observable_gauge",
        "By/s",
        "Growth rate of the segments under suspicion.",
        _growth,
    ),
    Instrument(
        "process.memory.leak.time_to_exhaustion",
        "observable_gauge",
        "s",
        "Time until the limit is reached at that growth rate.",
        _time_to_exhaustion,
    ),
    Instrument(
        "process.memory.route.growth",
        "observable_gauge",
        "By",
        "Bytes that a request of the route keeps, where that is certain.",
        _routes,
    ),
    CPU_TIME,
    Instrument(
        "cpython.gc.collections",
        "observable_counter",
        "{collection}",
        "The number of times a generation was collected since interpreter start.",
        _generations("collections"),
    ),
    Instrument(
        "cpython.gc.collected_objects",
        "observable_counter",
        "{object}",
        "The total number of objects collected inside a generation since interpreter start.",
        _generations("collected_objects"),
    ),
    Instrument(
        "cpython.gc.uncollectable_objects",
        "observable_counter",
        "{object}",
        "The total number of objects which were found to be uncollectable inside a generation "
        "since interpreter start.",
        _generations("uncollectable_objects"),
    ),
)


class Reporter:
    """The callbacks registered with one meter provider.

    Instruments cannot be unregistered, and creating one again silently drops its callbacks. So they
    are created once for each provider and report whatever source is attached: none, no data point.
    """

    def __init__(self) -> None:
        self._source: SampleSource | None = None
        self._has_process_metrics = True
        self._reading: Reading | None = None
        self._reported: set[str] = set()
        self._has_failed = False

    def attach(self, source: SampleSource, *, has_process_metrics: bool) -> None:
        """Report what this source tells from now on."""
        self._has_process_metrics = has_process_metrics
        self._source = source

    def detach(self) -> None:
        """Go quiet."""
        self._source = None
        self._reading = None

    def register(self, meter: Meter) -> None:
        """Create every instrument of the table."""
        for instrument in INSTRUMENTS:
            create = getattr(meter, f"create_{instrument.kind}")
            create(
                instrument.name,
                callbacks=[self._callback(instrument)],
                unit=instrument.unit,
                description=instrument.description,
            )

    def _callback(
        self, instrument: Instrument
    ) -> Callable[[CallbackOptions], Sequence[Observation]]:
        def observe(_: CallbackOptions) -> Sequence[Observation]:
            try:
                return self._points(instrument)
            except Exception:
                # The SDK would log it too, at each collection and for each instrument.
                if not self._has_failed:
                    _logger.exception("memory metrics failed; trying again, silently")
                self._has_failed = True
                return ()

        return observe

    def _points(self, instrument: Instrument) -> Sequence[Observation]:
        source = self._source
        if source is None or (instrument.is_process_metric and not self._has_process_metrics):
            return ()
        started = source.thread_cpu()
        reading = self._reading_of_this_collection(instrument.name, source)
        if reading is None:
            return ()
        points = [Observation(value, where) for value, where in instrument.read(reading)]
        if instrument is CPU_TIME:
            points.append(Observation(source.cpu_seconds()))
        source.add_collection_cpu_seconds(source.thread_cpu() - started)
        return points

    def _reading_of_this_collection(self, name: str, source: SampleSource) -> Reading | None:
        # A collection calls each callback once, one after the other, under the SDK's lock. So a
        # name that comes again, from whichever reader, opens the next collection; until then all
        # share one sample, and their values add up.
        reading = self._reading
        if name in self._reported or reading is None or reading.sample.pid != os.getpid():
            self._reported.clear()
            sample = source.sample_for_collection()
            reading = (
                None
                if sample is None
                else Reading(sample, source.latest_verdict(), source.route_growth())
            )
            self._reading = reading
        self._reported.add(name)
        return reading


_reporters: Final[WeakKeyDictionary[MeterProvider, Reporter]] = WeakKeyDictionary()


def is_placeholder(provider: MeterProvider) -> bool:
    """Tell whether this stands for the provider that the application has yet to set."""
    return type(provider).__name__ == "_ProxyMeterProvider"


def reporter_for(provider: MeterProvider) -> Reporter | None:
    """Return the provider's reporter, registered; None for a provider that reports nothing."""
    meter = provider.get_meter(SCOPE_NAME, __version__, schema_url=SCHEMA_URL)
    if isinstance(meter, NoOpMeter):
        return None
    reporter = _reporters.get(provider) or _moved_into(provider)
    if reporter is None:
        reporter = Reporter()
        reporter.register(meter)
    _reporters[provider] = reporter
    return reporter


def _moved_into(provider: MeterProvider) -> Reporter | None:
    # Once the application sets its provider, everything created before is created there.
    if provider is get_meter_provider():
        for former, reporter in _reporters.items():
            if is_placeholder(former):
                return reporter
    return None
