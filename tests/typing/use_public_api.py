"""The public names as a user's own strictly typed code uses them; checked by `make types`."""

from __future__ import annotations

from opentelemetry.metrics import NoOpMeterProvider

from opentelemetry.instrumentation.memory import (
    SEGMENTS,
    ConfigError,
    GcGeneration,
    MemoryConfig,
    MemoryInstrumentor,
    MemorySample,
    Partition,
    Segment,
    __version__,
)


def instrument() -> None:
    instrumentor = MemoryInstrumentor()
    try:
        instrumentor.instrument(meter_provider=NoOpMeterProvider(), max_interval_seconds=30)
    except ConfigError as error:
        raise SystemExit(str(error)) from error
    instrumentor.uninstrument()


def read(instrumentor: MemoryInstrumentor) -> dict[Segment, int]:
    sample: MemorySample | None = instrumentor.latest_sample()
    if sample is None:
        return {}
    partition: Partition = sample.partition
    return dict(partition.present())


def describe(sample: MemorySample) -> tuple[int | None, float | None, int | None, int]:
    generations: tuple[GcGeneration, ...] = sample.gc_generations
    collections = sum(each.collections for each in generations)
    return sample.resident_bytes, sample.limit_utilization, sample.external_bytes, collections


def compare(instrumentor: MemoryInstrumentor) -> int:
    history: tuple[MemorySample, ...] = instrumentor.history()
    sizes = [sample.resident_bytes for sample in history if sample.resident_bytes is not None]
    return max(sizes, default=0) - min(sizes, default=0)


def configure() -> MemoryConfig:
    return MemoryConfig(limit_bytes=2**30, background_sampling=False)


first_segment: Segment = SEGMENTS[0]
version: str = __version__
