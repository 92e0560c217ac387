"""What is true now: one probe for each source of memory figures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._probes.cgroup import LimitProbe
from opentelemetry.instrumentation.memory._probes.cpython import (
    GarbageCollectorProbe,
    ObjectAllocatorProbe,
)
from opentelemetry.instrumentation.memory._probes.linux import SharedMemoryProbe, StatmProbe
from opentelemetry.instrumentation.memory._probes.malloc import malloc_probe
from opentelemetry.instrumentation.memory._probes.portable import PsutilProbe

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._probes.base import (
        Allocator,
        Limit,
        Probe,
        Resident,
    )
    from opentelemetry.instrumentation.memory.model import GcGeneration


@dataclass(frozen=True, slots=True)
class Probes:
    """The probes of one process. None of them is shared with a forked child."""

    resident: Probe[Resident]
    shared: Probe[int]
    objects: Probe[Allocator]
    native: Probe[Allocator]
    gc: Probe[tuple[GcGeneration, ...]]
    limit: Probe[Limit | None]

    def close(self) -> None:
        """Give back what the probes hold open."""
        for probe in (self.resident, self.shared, self.objects, self.native, self.gc, self.limit):
            probe.close()


def platform_probes(limit_bytes: int | None = None, proc: str = "/proc/self") -> Probes:
    """Return the probes that suit this platform; nothing is read yet."""
    # Unlike Path.exists this never raises, even where looking is forbidden.
    has_proc = os.path.exists(f"{proc}/statm")  # noqa: PTH110
    return Probes(
        resident=StatmProbe(f"{proc}/statm") if has_proc else PsutilProbe(),
        shared=SharedMemoryProbe(f"{proc}/status"),
        objects=ObjectAllocatorProbe(),
        native=malloc_probe(),
        gc=GarbageCollectorProbe(),
        limit=LimitProbe(limit_bytes, proc),
    )
