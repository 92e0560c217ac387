from __future__ import annotations

import logging
import subprocess
import sys
import threading
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from opentelemetry.instrumentation.memory import (
    SEGMENTS,
    ConfigError,
    MemoryConfig,
    MemoryInstrumentor,
    _runtime,
)
from opentelemetry.instrumentation.memory import _instrumentor as module
from opentelemetry.instrumentation.memory._sampling.thread import THREAD_NAME
from opentelemetry.instrumentation.memory.config import settings

Reader = InMemoryMetricReader


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def values(reader: Reader) -> dict[str, list[float]]:
    collected = reader.get_metrics_data()
    if collected is None:
        return {}
    return {
        metric.name: [point.value for point in metric.data.data_points]
        for resource in collected.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.data.data_points
    }


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def provider(reader: Reader) -> MeterProvider:
    return MeterProvider([reader], shutdown_on_exit=False)


def test_instrumented_process_reports_its_memory_and_samples_in_one_thread(
    instrumentor: MemoryInstrumentor, provider: MeterProvider, reader: Reader
) -> None:
    instrumentor.instrument(meter_provider=provider)
    found = values(reader)
    assert found["process.memory.usage"][0] > 2**20
    assert sum(found["process.memory.resident"]) == found["process.memory.usage"][0]
    assert len(threads()) == 1
    assert threads()[0].daemon


def test_segments_add_up_while_the_thread_samples_and_two_readers_collect(
    instrumentor: MemoryInstrumentor,
) -> None:
    readers = [Reader(), Reader()]
    provider = MeterProvider(readers, shutdown_on_exit=False)
    instrumentor.instrument(
        meter_provider=provider, min_interval_seconds=0.05, max_interval_seconds=0.05
    )
    wrong: list[dict[str, list[float]]] = []

    def collect_often(reader: Reader) -> None:
        for _ in range(150):
            found = values(reader)
            if sum(found["process.memory.resident"]) != found["process.memory.usage"][0]:
                wrong.append(found)

    collectors = [threading.Thread(target=collect_often, args=(reader,)) for reader in readers]
    for collector in collectors:
        collector.start()
    held: list[bytes] = []
    while any(collector.is_alive() for collector in collectors):
        held = [*held[-200:], bytes(100_000)]
        collectors[0].join(0.001)
    for collector in collectors:
        collector.join()
    assert wrong == []


def test_collection_reports_the_moment_not_the_thread_s_last_sample(
    instrumentor: MemoryInstrumentor, provider: MeterProvider, reader: Reader
) -> None:
    instrumentor.instrument(
        meter_provider=provider, min_interval_seconds=3600, max_interval_seconds=3600
    )
    (before,) = values(reader)["process.memory.usage"]
    held = bytearray(b"x") * (50 * 2**20)
    (after,) = values(reader)["process.memory.usage"]
    assert after - before == pytest.approx(len(held), rel=0.03)


def test_without_the_thread_each_collection_takes_a_sample(
    instrumentor: MemoryInstrumentor, provider: MeterProvider, reader: Reader
) -> None:
    instrumentor.instrument(meter_provider=provider, background_sampling=False)
    first = instrumentor.latest_sample()
    assert threads() == []
    assert "process.memory.usage" in values(reader)
    second = instrumentor.latest_sample()
    assert first is not None
    assert second is not None
    assert second.taken_at_seconds > first.taken_at_seconds
    assert len(instrumentor.history()) >= 3


def test_limit_that_is_set_is_reported_with_its_utilization(
    instrumentor: MemoryInstrumentor, provider: MeterProvider, reader: Reader
) -> None:
    instrumentor.instrument(meter_provider=provider, limit_bytes="1MiB")
    found = values(reader)
    assert found["process.memory.limit"] == [2**20]
    usage, utilization = found["process.memory.usage"], found["process.memory.limit.utilization"]
    assert utilization == [usage[0] / 2**20]


def test_uninstrument_leaves_no_thread_and_no_data_point(
    instrumentor: MemoryInstrumentor, provider: MeterProvider, reader: Reader
) -> None:
    instrumentor.instrument(meter_provider=provider)
    assert values(reader)
    instrumentor.uninstrument()
    assert threads() == []
    assert values(reader) == {}
    assert instrumentor.latest_sample() is None
    assert instrumentor.history() == ()
    assert not _runtime._running


def test_instrumenting_again_works_and_the_cpu_counter_does_not_fall(
    instrumentor: MemoryInstrumentor, provider: MeterProvider, reader: Reader
) -> None:
    spent = []
    for _ in range(5):
        instrumentor.instrument(meter_provider=provider)
        spent += [values(reader)["process.memory.monitor.cpu.time"][0] for _ in range(3)]
        assert len(threads()) == 1
        instrumentor.uninstrument()
    assert spent == sorted(spent)
    assert spent[0] > 0
    assert threads() == []


def test_another_provider_gets_the_points_and_the_former_goes_quiet(
    instrumentor: MemoryInstrumentor, provider: MeterProvider, reader: Reader
) -> None:
    other = Reader()
    instrumentor.instrument(meter_provider=provider)
    instrumentor.uninstrument()
    instrumentor.instrument(meter_provider=MeterProvider([other], shutdown_on_exit=False))
    assert values(reader) == {}
    assert "process.memory.usage" in values(other)


def test_second_instrument_is_harmless(
    instrumentor: MemoryInstrumentor, provider: MeterProvider, reader: Reader
) -> None:
    instrumentor.instrument(meter_provider=provider)
    instrumentor.instrument(meter_provider=provider)
    MemoryInstrumentor().instrument()
    assert len(threads()) == 1
    assert len(values(reader)["process.memory.usage"]) == 1


def test_uninstrument_twice_and_before_instrument_is_harmless(
    instrumentor: MemoryInstrumentor, provider: MeterProvider
) -> None:
    instrumentor.uninstrument()
    instrumentor.instrument(meter_provider=provider)
    instrumentor.uninstrument()
    instrumentor.uninstrument()
    assert threads() == []


def test_uninstrument_inside_a_callback_ends_the_thread(
    instrumentor: MemoryInstrumentor, provider: MeterProvider, reader: Reader
) -> None:
    def uninstrument(_: object) -> list[Any]:
        instrumentor.uninstrument()
        return []

    provider.get_meter("application").create_observable_gauge("x", callbacks=[uninstrument])
    instrumentor.instrument(meter_provider=provider)
    values(reader)
    assert threads() == []
    assert values(reader) == {}


def test_bad_argument_raises_and_starts_nothing(
    instrumentor: MemoryInstrumentor, provider: MeterProvider
) -> None:
    with pytest.raises(ConfigError, match=r"limit_bytes='much': expected bytes"):
        instrumentor.instrument(meter_provider=provider, limit_bytes="much")
    with pytest.raises(ConfigError, match=r"limit_byte: unknown .*did you mean limit_bytes\?"):
        instrumentor.instrument(meter_provider=provider, limit_byte=2**30)
    assert threads() == []
    assert not instrumentor.is_instrumented_by_opentelemetry


def test_bad_variable_is_one_warning_and_the_default(
    instrumentor: MemoryInstrumentor,
    provider: MeterProvider,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS", "soon")
    with caplog.at_level(logging.WARNING):
        instrumentor.instrument(meter_provider=provider)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS='soon'" in record.message
    assert "between 0.05 and 3600" in record.message
    assert len(threads()) == 1


def test_options_meant_for_other_instrumentors_are_tolerated(
    instrumentor: MemoryInstrumentor, provider: MeterProvider, reader: Reader
) -> None:
    instrumentor.instrument(
        meter_provider=provider,
        tracer_provider=object(),
        event_logger_provider=object(),
        skip_dep_check=True,
        raise_exception_on_conflict=True,
    )
    assert "process.memory.usage" in values(reader)


def test_provider_that_reports_nothing_starts_no_thread(
    instrumentor: MemoryInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    instrumentor.instrument(meter_provider=NoOpMeterProvider())
    assert threads() == []
    instrumentor.uninstrument()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    instrumentor.instrument(meter_provider=MeterProvider(shutdown_on_exit=False))
    assert threads() == []


def test_multiprocessing_helper_starts_no_thread_and_reports_nothing(
    instrumentor: MemoryInstrumentor,
    provider: MeterProvider,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = "from multiprocessing.resource_tracker import main;main(5)"
    monkeypatch.setattr(sys, "orig_argv", ["python", "-c", code])
    instrumentor.instrument(meter_provider=provider)
    assert threads() == []
    assert values(reader) == {}


def test_broken_provider_is_logged_and_leaves_nothing(
    instrumentor: MemoryInstrumentor,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    provider: MeterProvider,
    reader: Reader,
) -> None:
    def fail(_: _runtime.Runtime) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(module.Runtime, "start", fail)
        instrumentor.instrument(meter_provider=provider)
    assert "the application goes on" in caplog.text
    assert values(reader) == {}
    instrumentor.uninstrument()
    instrumentor.instrument(meter_provider=provider)
    assert "process.memory.usage" in values(reader)


def test_every_setting_is_a_declarative_option_that_defaults_to_not_given() -> None:
    options = MemoryInstrumentor.configuration()
    assert vars(options) == dict.fromkeys(settings())
    assert MemoryConfig.resolve(vars(options), environ={}) == MemoryConfig()


def test_declarative_options_take_anything_and_keep_what_is_allowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = MemoryInstrumentor.configuration(
        limit_bites="1GiB", budget_percent="much", max_interval_seconds=20
    )
    given = {name: value for name, value in vars(options).items() if value is not None}
    assert given == {"max_interval_seconds": 20.0}
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "declarative configuration: limit_bites='1GiB': unknown setting" in caplog.text
    assert "declarative configuration: budget_percent='much': expected percent" in caplog.text


def test_latest_sample_and_history_describe_this_process(
    instrumentor: MemoryInstrumentor, provider: MeterProvider
) -> None:
    instrumentor.instrument(meter_provider=provider)
    sample = instrumentor.latest_sample()
    assert sample is not None
    assert sample.resident_bytes == sum(size for _, size in sample.partition.present())
    assert {segment for segment, _ in sample.partition.present()} <= set(SEGMENTS)
    assert sample in instrumentor.history()


PROVIDER_SET_LATER = """
import threading
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.instrumentation.memory import MemoryInstrumentor
from tests.unit.test_instrumentor import threads, values

MemoryInstrumentor().instrument()
assert threads() == [], "nobody asks yet"
reader = InMemoryMetricReader()
set_meter_provider(MeterProvider([reader]))
for _ in range(3):
    assert "process.memory.usage" in values(reader)
    assert len(threads()) == 1
    MemoryInstrumentor().uninstrument()
    assert values(reader) == {}
    assert threads() == []
    MemoryInstrumentor().instrument()
"""


def test_provider_that_is_set_later_gets_the_points_also_after_instrumenting_again() -> None:
    subprocess.run([sys.executable, "-c", PROVIDER_SET_LATER], check=True, timeout=60)


FORK_WITHOUT_PROVIDER = """
import os
from opentelemetry.instrumentation.memory import MemoryInstrumentor
from tests.unit.test_instrumentor import threads

MemoryInstrumentor().instrument()
pid = os.fork()
if pid == 0:
    os._exit(len(threads()))
assert os.waitpid(pid, 0)[1] == 0
"""


def test_without_a_provider_a_forked_child_starts_no_thread_either() -> None:
    subprocess.run([sys.executable, "-c", FORK_WITHOUT_PROVIDER], check=True, timeout=60)
