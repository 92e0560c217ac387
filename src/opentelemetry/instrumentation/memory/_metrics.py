"""The instrument table; callbacks report one sample a collection and never touch the system."""

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

    from opentelemetry.instrumentation.memory.model import MemorySample


_logger = logging.getLogger(__name__)

SCOPE_NAME: Final = "opentelemetry.instrumentation.memory"
SCHEMA_URL: Final = Schemas.V1_37_0.value


class SampleSource(Protocol):
    """Where the callbacks get what they report."""

    def sample_for_collection(self) -> MemorySample | None:
        """Return the sample to report, or None when there is none."""
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


Point = tuple[float, "dict[str, Any] | None"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """One row of the metric table: its name and unit, and what it reads from a sample."""

    name: str
    kind: str
    unit: str
    description: str
    read: Callable[[MemorySample], Iterable[Point]]
    is_process_metric: bool = False


def _one(field: str) -> Callable[[MemorySample], Iterable[Point]]:
    def read(sample: MemorySample) -> Iterable[Point]:
        value = getattr(sample, field)
        return () if value is None else ((value, None),)

    return read


def _segments(sample: MemorySample) -> Iterable[Point]:
    return [
        (value, {"process.memory.segment": segment})
        for segment, value in sample.partition.present()
    ]


def _generations(field: str) -> Callable[[MemorySample], Iterable[Point]]:
    def read(sample: MemorySample) -> Iterable[Point]:
        return [
            (getattr(generation, field), {"cpython.gc.generation": number})
            for number, generation in enumerate(sample.gc_generations)
        ]

    return read


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
        self._sample: MemorySample | None = None
        self._reported: set[str] = set()
        self._has_failed = False

    def attach(self, source: SampleSource, *, has_process_metrics: bool) -> None:
        """Report what this source tells from now on."""
        self._has_process_metrics = has_process_metrics
        self._source = source

    def detach(self) -> None:
        """Go quiet."""
        self._source = None
        self._sample = None

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
        sample = self._sample_of_this_collection(instrument.name, source)
        if sample is None:
            return ()
        points = [Observation(value, where) for value, where in instrument.read(sample)]
        if instrument is CPU_TIME:
            points.append(Observation(source.cpu_seconds()))
        source.add_collection_cpu_seconds(source.thread_cpu() - started)
        return points

    def _sample_of_this_collection(self, name: str, source: SampleSource) -> MemorySample | None:
        # A collection calls each callback once, one after the other, under the SDK's lock. So a
        # name that comes again, from whichever reader, opens the next collection; until then all
        # share one sample, and their values add up.
        if name in self._reported or self._sample is None or self._is_foreign(self._sample):
            self._reported.clear()
            self._sample = source.sample_for_collection()
        self._reported.add(name)
        return self._sample

    @staticmethod
    def _is_foreign(sample: MemorySample) -> bool:
        return sample.pid != os.getpid()


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
