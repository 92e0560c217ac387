"""OpenTelemetry memory instrumentation: where every byte of a Python process is.

Example:
    >>> from opentelemetry.instrumentation.memory import MemoryInstrumentor
    >>> MemoryInstrumentor().instrument()
"""

from opentelemetry.instrumentation.memory._instrumentor import MemoryInstrumentor
from opentelemetry.instrumentation.memory.config import MemoryConfig
from opentelemetry.instrumentation.memory.exceptions import ConfigError
from opentelemetry.instrumentation.memory.model import (
    SEGMENTS,
    GcGeneration,
    Growth,
    LeakState,
    LeakVerdict,
    MemorySample,
    Partition,
    Segment,
)
from opentelemetry.instrumentation.memory.track import track
from opentelemetry.instrumentation.memory.version import __version__

__all__ = [
    "SEGMENTS",
    "ConfigError",
    "GcGeneration",
    "Growth",
    "LeakState",
    "LeakVerdict",
    "MemoryConfig",
    "MemoryInstrumentor",
    "MemorySample",
    "Partition",
    "Segment",
    "__version__",
    "track",
]
