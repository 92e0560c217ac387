"""What the languages' own instrumentations send of memory, and what must come of it.

Names, units, kinds and attributes were taken from running services (Node.js, the JVM, Go, Rust,
Python), from the semantic conventions (.NET) and from the documents of its instrumentations
(.NET up to 8: Runtime and Process of opentelemetry-dotnet-contrib); the numbers are round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

RESIDENT = "process.memory.usage"
USED = "process.runtime.memory.heap.used"
COMMITTED = "process.runtime.memory.heap.committed"
LIMIT = "process.runtime.memory.heap.limit"
EXTERNAL = "process.runtime.memory.external"
FAMILY = {RESIDENT, USED, COMMITTED, LIMIT, EXTERNAL}

Values = dict[str, float]
Attributes = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """One metric of one instrumentation; a sum is an UpDownCounter."""

    name: str
    unit: str
    kind: str
    points: Sequence[tuple[Attributes, float]]
    scope: str = "instrumentation"


def gauge(name: str, unit: str, *points: tuple[Attributes, float]) -> Sent:
    return Sent(name, unit, "gauge", points)


def updown(name: str, unit: str, *points: tuple[Attributes, float]) -> Sent:
    return Sent(name, unit, "sum", points)


@dataclass(frozen=True)
class Language:
    """What a process of a language sends, and what must come of it."""

    resource: Attributes
    metrics: Sequence[Sent]
    runtime: str
    family: Values
    instance: str = "one"


def space(name: str) -> Attributes:
    return {"v8js.heap.space.name": name}


def pool(kind: str, name: str) -> Attributes:
    return {"jvm.memory.type": kind, "jvm.memory.pool.name": name}


def generation(name: str) -> Attributes:
    return {"dotnet.gc.heap.generation": name}


DOTNET_8 = [
    updown(
        "process.runtime.dotnet.gc.heap.size",
        "bytes",
        ({"generation": "gen0"}, 1e6),
        ({"generation": "gen2"}, 7e6),
        ({"generation": "loh"}, 4e6),
    ),
    updown("process.runtime.dotnet.gc.committed_memory.size", "bytes", ({}, 20e6)),
]

LANGUAGES = {
    "node": Language(
        {
            "telemetry.sdk.language": "nodejs",
            "process.runtime.name": "nodejs",
            "host.name": "vm",
            "host.id": "3d12",
            "process.pid": 71,
        },
        [
            gauge("v8js.memory.heap.used", "By", (space("new_space"), 3e6), (space("old"), 15e6)),
            gauge(
                "v8js.memory.heap.space.physical_size",
                "By",
                (space("new_space"), 16e6),
                (space("old"), 17e6),
            ),
            Sent(RESIDENT, "", "gauge", [({}, 90e6)], scope="@opentelemetry/host-metrics"),
        ],
        "nodejs",
        {RESIDENT: 90e6, USED: 18e6, COMMITTED: 33e6, EXTERNAL: 57e6},
        instance="vm-71",
    ),
    "jvm": Language(
        {
            "telemetry.sdk.language": "java",
            "process.runtime.name": "OpenJDK Runtime Environment",
            "service.instance.id": "one",
        },
        [
            updown(
                "jvm.memory.used",
                "By",
                (pool("heap", "G1 Eden Space"), 4e6),
                (pool("heap", "G1 Old Gen"), 20e6),
                (pool("non_heap", "Metaspace"), 30e6),
            ),
            updown(
                "jvm.memory.committed",
                "By",
                (pool("heap", "G1 Eden Space"), 10e6),
                (pool("heap", "G1 Old Gen"), 50e6),
                (pool("non_heap", "Metaspace"), 32e6),
            ),
            updown(
                "jvm.memory.limit",
                "By",
                (pool("heap", "G1 Old Gen"), 512e6),
                (pool("non_heap", "CodeCache"), 48e6),
            ),
            updown(
                "jvm.buffer.memory.used",
                "By",
                ({"jvm.buffer.pool.name": "direct"}, 5e6),
                ({"jvm.buffer.pool.name": "mapped"}, 1e6),
            ),
        ],
        "jvm",
        {USED: 24e6, COMMITTED: 60e6, LIMIT: 512e6, EXTERNAL: 6e6},
    ),
    "go": Language(
        {"telemetry.sdk.language": "go", "host.name": "vm", "process.pid": 72},
        [
            updown(
                "go.memory.used",
                "By",
                ({"go.memory.type": "other"}, 40e6),
                ({"go.memory.type": "stack"}, 2e6),
            ),
            updown("go.memory.limit", "By", ({}, 256e6)),
        ],
        "go",
        {USED: 40e6, COMMITTED: 42e6, LIMIT: 256e6},
        instance="vm-72",
    ),
    "go with its resident set": Language(
        {"telemetry.sdk.language": "go", "service.instance.id": "one"},
        [
            updown(
                "go.memory.used",
                "By",
                ({"go.memory.type": "other"}, 40e6),
                ({"go.memory.type": "stack"}, 2e6),
            ),
            updown(RESIDENT, "By", ({}, 52e6)),
        ],
        "go",
        {RESIDENT: 52e6, USED: 40e6, COMMITTED: 42e6, EXTERNAL: 10e6},
    ),
    "dotnet": Language(
        {"telemetry.sdk.language": "dotnet", "service.instance.id": "one"},
        [
            updown("dotnet.process.memory.working_set", "By", ({}, 80e6)),
            updown(
                "dotnet.gc.last_collection.heap.size",
                "By",
                (generation("gen0"), 1e6),
                (generation("gen2"), 7e6),
                (generation("loh"), 4e6),
            ),
            updown("dotnet.gc.last_collection.memory.committed_size", "By", ({}, 20e6)),
        ],
        "dotnet",
        {RESIDENT: 80e6, USED: 12e6, COMMITTED: 20e6, EXTERNAL: 60e6},
    ),
    "dotnet 8": Language(
        {"telemetry.sdk.language": "dotnet", "service.instance.id": "one"},
        DOTNET_8,
        "dotnet",
        {USED: 12e6, COMMITTED: 20e6},
    ),
    "dotnet 8 with its resident set": Language(
        {"telemetry.sdk.language": "dotnet", "service.instance.id": "one"},
        [*DOTNET_8, updown(RESIDENT, "By", ({}, 80e6))],
        "dotnet",
        {RESIDENT: 80e6, USED: 12e6, COMMITTED: 20e6, EXTERNAL: 60e6},
    ),
    "rust": Language(
        {"telemetry.sdk.language": "rust"},
        [
            gauge(
                RESIDENT,
                "byte",
                (
                    {
                        "process.pid": 73,
                        "process.executable.name": "shop",
                        "process.executable.path": "/srv/shop",
                        "process.command": " /srv/shop --token secret",
                    },
                    9e6,
                ),
            )
        ],
        "rust",
        {RESIDENT: 9e6},
        instance="73",
    ),
    "python": Language(
        {"telemetry.sdk.language": "python", "service.instance.id": "one"},
        [
            updown(RESIDENT, "By", ({}, 60e6)),
            gauge("cpython.memory.heap.used", "By", ({}, 20e6)),
            gauge("cpython.memory.heap.committed", "By", ({}, 22e6)),
            gauge("cpython.memory.external", "By", ({}, 17e6)),
        ],
        "cpython",
        {RESIDENT: 60e6, USED: 20e6, COMMITTED: 22e6, EXTERNAL: 17e6},
    ),
}
