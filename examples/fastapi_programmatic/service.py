"""A FastAPI service that sets up its own meter provider and instruments itself."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from opentelemetry.instrumentation.memory import MemoryInstrumentor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

instrumentor = MemoryInstrumentor()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    # In the lifespan, not at import: `uvicorn --workers 4` runs it in each worker.
    provider = MeterProvider(
        resource=Resource.create({"service.name": "fastapi-programmatic"}),
        metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())],
    )
    instrumentor.instrument(meter_provider=provider, max_interval_seconds=5)
    yield
    # The provider first: its last export still finds a sample.
    provider.shutdown()
    instrumentor.uninstrument()


app = FastAPI(lifespan=lifespan)


@app.get("/memory")
async def memory() -> dict[str, int]:
    """Return where the memory of this worker is, from the sample that the metrics show too."""
    sample = instrumentor.latest_sample()
    return {} if sample is None else dict(sample.partition.present())
