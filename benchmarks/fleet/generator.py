"""A synthetic fleet: what processes of several languages would send, at any moment."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics, ScopeMetrics

MEBIBYTE: Final = 2**20
NANOSECONDS: Final = 10**9
RUNTIMES: Final = ("nodejs", "jvm", "go", "dotnet", "rust", "family")
_SPACES: Final = ("new_space", "old_space", "code_space", "large_object_space")
_POOLS: Final = ("G1 Eden Space", "G1 Survivor Space", "G1 Old Gen")
# A tooth of garbage between two collections, in samples.
_TOOTH_SAMPLES: Final = 7


@dataclass(frozen=True)
class Process:
    """One process of the fleet.

    Attributes:
        number: Which one; everything random about it follows from this.
        runtime: What it is written in; decides what it sends.
        leak_bytes_per_second: How fast it loses memory of its heap; 0 for a healthy one.
        base_bytes: What it needs.
        leak_begins_seconds: After how much of its life the leak begins.
    """

    number: int
    runtime: str
    leak_bytes_per_second: float = 0.0
    base_bytes: int = 200 * MEBIBYTE
    leak_begins_seconds: float = 0.0

    @property
    def name(self) -> str:
        """Return its `service.instance.id`."""
        return f"instance-{self.number:06}"

    def resource(self) -> dict[str, str]:
        """Return the attributes of its resource, about as many as a real one has."""
        return {
            "service.namespace": "shop",
            "service.name": f"service-{self.number % 50}",
            "service.version": "1.4.2",
            "service.instance.id": self.name,
            "host.name": f"host-{self.number % 500}",
            "k8s.namespace.name": "production",
            "k8s.pod.name": f"service-{self.number % 50}-{self.number}",
            "k8s.node.name": f"node-{self.number % 100}",
            "process.runtime.name": self.runtime,
            "telemetry.sdk.language": self.runtime,
            "telemetry.sdk.name": "opentelemetry",
            "cloud.region": "eu-central-1",
        }

    def heap_used_bytes(self, seconds: float, interval_seconds: float = 15.0) -> int:
        """Return what its heap holds, so long after its start: warm-up, teeth, noise, leak."""
        noise = random.Random(self.number * 1_000_003 + round(seconds))  # noqa: S311 - no secret
        tooth = (seconds / interval_seconds) % _TOOTH_SAMPLES / _TOOTH_SAMPLES
        warm = 1 - 0.3 * math.exp(-seconds / (40 * interval_seconds))
        healthy = self.base_bytes * (0.5 * warm + 0.1 * tooth + 0.02 * noise.random())
        leaked = self.leak_bytes_per_second * max(seconds - self.leak_begins_seconds, 0.0)
        return round(healthy + leaked)


def request(
    processes: Iterable[Process], began: float, seconds: float
) -> ExportMetricsServiceRequest:
    """Return what these processes send in one moment.

    Args:
        processes: Who sends.
        began: When they were started, in seconds since 1970.
        seconds: How long ago that is at this moment.
    """
    built = ExportMetricsServiceRequest()
    for process in processes:
        of_resource = built.resource_metrics.add()
        add(of_resource, process, began, seconds)
    return built


def add(of_resource: ResourceMetrics, process: Process, began: float, seconds: float) -> None:
    """Add what one process sends in one moment."""
    for name, text in process.resource().items():
        of_resource.resource.attributes.add(key=name).value.string_value = text
    of_scope = of_resource.scope_metrics.add()
    of_scope.scope.name = f"runtime-{process.runtime}"
    used = process.heap_used_bytes(seconds)
    # An allocator that takes memory in large steps; the rest of the process stays as it is.
    committed = (used // (16 * MEBIBYTE) + 2) * 16 * MEBIBYTE
    resident = committed + 60 * MEBIBYTE
    moment = _Moment(of_scope, round(began * NANOSECONDS), round((began + seconds) * NANOSECONDS))
    match process.runtime:
        case "nodejs":
            moment.sizes("process.memory.usage", [resident], unit="")
            space = "v8js.heap.space.name"
            moment.sizes("v8js.memory.heap.used", _parts(used, _SPACES), space, _SPACES)
            name = "v8js.memory.heap.space.physical_size"
            moment.sizes(name, _parts(committed, _SPACES), space, _SPACES)
        case "jvm":
            pool = "jvm.memory.pool.name"
            heap = ("jvm.memory.type", "heap")
            moment.sizes("jvm.memory.used", _parts(used, _POOLS), pool, _POOLS, heap, is_sum=True)
            moment.sizes(
                "jvm.memory.committed", _parts(committed, _POOLS), pool, _POOLS, heap, is_sum=True
            )
            moment.sizes("jvm.buffer.memory.used", [8 * MEBIBYTE], is_sum=True)
        case "go":
            kinds = ("other", "stack")
            values = [used, 8 * MEBIBYTE]
            moment.sizes("go.memory.used", values, "go.memory.type", kinds, is_sum=True)
            moment.sizes("go.memory.limit", [2**63 - 1], is_sum=True)
        case "dotnet":
            moment.sizes("dotnet.process.memory.working_set", [resident], is_sum=True)
            generations = ("gen0", "gen1", "gen2", "loh", "poh")
            moment.sizes(
                "dotnet.gc.last_collection.heap.size",
                _parts(used, generations),
                "gc.heap.generation",
                generations,
                is_sum=True,
            )
            moment.sizes(
                "dotnet.gc.last_collection.memory.committed_size", [committed], is_sum=True
            )
        case "rust":
            # Nothing but the resident set: what is leaked shows, what is collected does not exist.
            moment.sizes("process.memory.usage", [used + 20 * MEBIBYTE], unit="byte")
        case _:
            moment.sizes("process.memory.usage", [resident])
            moment.sizes("process.runtime.memory.heap.used", [used])
            moment.sizes("process.runtime.memory.heap.committed", [committed])
            moment.sizes("process.runtime.memory.external", [50 * MEBIBYTE])
            moment.sizes("process.runtime.memory.heap.limit", [2048 * MEBIBYTE])


def _parts(total: int, names: Sequence[str]) -> list[int]:
    """Return a number split into as many parts; most of it is in the last but one."""
    small = total // (4 * len(names))
    parts = [small] * len(names)
    parts[-2 if len(names) > 1 else -1] = total - small * (len(names) - 1)
    return parts


@dataclass(frozen=True)
class _Moment:
    of_scope: ScopeMetrics
    start: int
    time: int

    def sizes(  # noqa: PLR0913 - what a metric is made of
        self,
        name: str,
        values: Sequence[int],
        attribute: str = "",
        labels: Sequence[str] = (),
        constant: tuple[str, str] | None = None,
        *,
        unit: str = "By",
        is_sum: bool = False,
    ) -> None:
        metric = self.of_scope.metrics.add(name=name, unit=unit)
        if is_sum:
            metric.sum.aggregation_temporality = (
                AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
            )
        points = metric.sum.data_points if is_sum else metric.gauge.data_points
        for index, value in enumerate(values):
            point = points.add(
                time_unix_nano=self.time, start_time_unix_nano=self.start, as_int=value
            )
            if attribute:
                point.attributes.add(key=attribute).value.string_value = labels[index]
            if constant is not None:
                point.attributes.add(key=constant[0]).value.string_value = constant[1]
