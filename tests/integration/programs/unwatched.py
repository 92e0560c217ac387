"""A service that nobody judges: it keeps 64 KiB forty times a second, and tells how large it is."""

from __future__ import annotations

import threading

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
SystemMetricsInstrumentor(config={"process.memory.usage": None}).instrument(meter_provider=provider)
kept = []
end = threading.Event()
while not end.wait(0.025):
    kept.append(b"x" * 65536 + bytes([len(kept) % 256]))
