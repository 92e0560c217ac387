"""What single requests keep, as a histogram whose exemplars carry the trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._metrics import SCHEMA_URL, SCOPE_NAME
from opentelemetry.instrumentation.memory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import MeterProvider

NAME: Final = "process.memory.request.growth"
# 1 MiB is what the README suggests as the threshold.
_BOUNDARIES: Final = [float(2**exponent) for exponent in range(10, 31, 2)]


def request_growth(provider: MeterProvider) -> Callable[[int, str, Any], None]:
    """Return what records one request: its bytes, its route, and the context of its span."""
    meter = provider.get_meter(SCOPE_NAME, __version__, schema_url=SCHEMA_URL)
    histogram = meter.create_histogram(
        NAME,
        unit="By",
        description="Live bytes that a request has left behind which overlapped no other.",
        explicit_bucket_boundaries_advisory=_BOUNDARIES,
    )

    def record(growth_bytes: int, route: str, context: Any) -> None:
        histogram.record(growth_bytes, {"http.route": route}, context=context)

    return record
