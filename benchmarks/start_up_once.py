"""A script for `start_up.py`: imports and instruments once, and prints what that took.

It loads nothing of the benchmarks, whose imports would make ours look cheaper.
"""

import time

import opentelemetry.instrumentation.instrumentor  # noqa: F401 - what every instrumentor loads


def resident_bytes() -> int:
    """Return the resident set size of this process."""
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - pathlib would be one more import
        return int(statm.read().split()[1]) * 4096


bytes_before = resident_bytes()
started = time.perf_counter()

from opentelemetry.instrumentation.memory import MemoryInstrumentor  # noqa: E402

import_seconds = time.perf_counter() - started
import_bytes = resident_bytes() - bytes_before

# The application brings the SDK: not counted, and loaded only now so that it lends us nothing.
from opentelemetry.sdk.metrics import MeterProvider  # noqa: E402
from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: E402

provider = MeterProvider(metric_readers=[InMemoryMetricReader()])

bytes_before = resident_bytes()
started = time.perf_counter()
MemoryInstrumentor().instrument(meter_provider=provider)
instrument_seconds = time.perf_counter() - started
time.sleep(0.1)
instrument_bytes = resident_bytes() - bytes_before

print(import_seconds, instrument_seconds, import_bytes, instrument_bytes)
