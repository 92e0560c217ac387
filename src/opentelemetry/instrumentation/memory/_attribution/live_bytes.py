"""The live bytes of the process, read at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._probes.cpython import ObjectAllocatorProbe
from opentelemetry.instrumentation.memory._probes.malloc import malloc_probe
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable


def live_bytes_reader() -> Callable[[], int | None]:
    """Return a function that returns the live bytes of both heaps, or None where one is unknown.

    It may be called by any thread; see `_probes` for what it costs.
    """
    objects, native = ObjectAllocatorProbe(), malloc_probe()

    def live_bytes() -> int | None:
        try:
            return objects.read().used_bytes + native.read().used_bytes
        except (SourceUnavailable, OSError, ValueError):
            return None

    return live_bytes
