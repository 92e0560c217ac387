"""A fork while the parent is exporting or collecting: the child must not stay silent."""

from __future__ import annotations

import os
import select
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from opentelemetry.instrumentation.memory import MemoryInstrumentor, _sdk_locks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.metrics import CallbackOptions, Observation

DEADLINE_SECONDS = 20


class SlowExporter(MetricExporter):
    """Keeps the parent's export going until told, and tells of every export in a child."""

    def __init__(self) -> None:
        super().__init__()
        self.parent = os.getpid()
        self.is_exporting = threading.Event()
        self.may_end = threading.Event()
        self.read_end, self.write_end = os.pipe()

    def export(self, *_: Any, **__: Any) -> MetricExportResult:
        if os.getpid() == self.parent:
            self.is_exporting.set()
            self.may_end.wait(DEADLINE_SECONDS)
        else:
            os.write(self.write_end, b"exported")
        return MetricExportResult.SUCCESS

    def force_flush(self, *_: Any, **__: Any) -> bool:
        return True

    def shutdown(self, *_: Any, **__: Any) -> None:
        self.may_end.set()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_child_forked_during_an_export_of_its_parent_exports_its_own() -> None:
    exporter = SlowExporter()
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=50)])
    MemoryInstrumentor().instrument(meter_provider=provider)
    assert exporter.is_exporting.wait(DEADLINE_SECONDS)
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        readable, _, _ = select.select([exporter.read_end], [], [], DEADLINE_SECONDS)
        assert readable, "the child exported nothing"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        MemoryInstrumentor().uninstrument()
        exporter.may_end.set()
        provider.shutdown()
        os.close(exporter.read_end)
        os.close(exporter.write_end)


class PatientExporter(SlowExporter):
    """Tells of every export in a child, and keeps nobody waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end.set()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_child_forked_during_a_slow_collection_of_its_parent_exports_its_own() -> None:
    exporter = PatientExporter()
    parent = os.getpid()
    is_collecting, may_end = threading.Event(), threading.Event()

    def slow(_: CallbackOptions) -> list[Observation]:
        if os.getpid() == parent:
            is_collecting.set()
            may_end.wait(DEADLINE_SECONDS)
        return []

    provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=50)])
    MemoryInstrumentor().instrument(meter_provider=provider)
    provider.get_meter("another").create_observable_gauge("slow", callbacks=[slow])
    assert is_collecting.wait(DEADLINE_SECONDS)
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        readable, _, _ = select.select([exporter.read_end], [], [], DEADLINE_SECONDS)
        assert readable, "the child exported nothing"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        may_end.set()
        MemoryInstrumentor().uninstrument()
        provider.shutdown()
        os.close(exporter.read_end)
        os.close(exporter.write_end)


@contextmanager
def held_by_another_thread(lock: Any) -> Iterator[None]:
    is_held, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            is_held.set()
            may_end.wait()

    holding = threading.Thread(target=hold, daemon=True)
    holding.start()
    try:
        assert is_held.wait(DEADLINE_SECONDS)
        yield
    finally:
        may_end.set()
        holding.join()


def status_of_child(is_well: Callable[[], bool]) -> int:
    """Return how a forked child ends: 0 where all is well, by SIGALRM where it waits for ever."""
    child = os.fork()
    if child == 0:
        signal.alarm(DEADLINE_SECONDS)
        os._exit(0 if is_well() else 1)
    return os.waitpid(child, 0)[1]


def storage_of(provider: MeterProvider) -> Any:
    (storage,) = provider._measurement_consumer._reader_storages.values()
    return storage


def match_of(provider: MeterProvider) -> Any:
    return next(iter(storage_of(provider)._instrument_view_instrument_matches.values()))[0]


def aggregation_of(provider: MeterProvider) -> Any:
    return next(iter(match_of(provider)._attributes_aggregation.values()))


HOLDERS: dict[str, Callable[[MeterProvider], Any]] = {
    "the reader": lambda provider: next(iter(provider._metric_readers)),
    "what runs the callbacks": lambda provider: provider._measurement_consumer,
    "the storage of a reader": storage_of,
    "the measurements of an instrument": match_of,
    "the sum of a series": aggregation_of,
    "the examples of a series": lambda provider: aggregation_of(provider)._reservoir,
}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("holder", HOLDERS)
def test_child_forked_while_a_lock_of_the_sdk_is_held_collects_its_own(holder: str) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], exemplar_filter=AlwaysOnExemplarFilter())
    MemoryInstrumentor().instrument(meter_provider=provider)
    reader.get_metrics_data()
    with held_by_another_thread(HOLDERS[holder](provider)._lock):
        status = status_of_child(lambda: reader.get_metrics_data() is not None)
    MemoryInstrumentor().uninstrument()
    provider.shutdown()
    assert status == 0


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_child_forked_while_a_span_processor_is_added_can_add_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracers = TracerProvider()
    monkeypatch.setattr(_sdk_locks, "get_tracer_provider", lambda: tracers)
    provider = MeterProvider()
    MemoryInstrumentor().instrument(meter_provider=provider)

    def can_add() -> bool:
        tracers.add_span_processor(SpanProcessor())
        return True

    with held_by_another_thread(tracers._active_span_processor._lock):
        status = status_of_child(can_add)
    MemoryInstrumentor().uninstrument()
    provider.shutdown()
    tracers.shutdown()
    assert status == 0
