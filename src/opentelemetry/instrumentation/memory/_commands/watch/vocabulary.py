"""Which metrics are understood, and what each of them says of a process."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from opentelemetry.instrumentation.memory.model import SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SEGMENT_METRIC: Final = "process.memory.resident"
SEGMENT_ATTRIBUTE: Final = "process.memory.segment"
RISK_METRIC: Final = "process.memory.leak.risk"
WATCH_SCOPE: Final = "opentelemetry.instrumentation.memory.watch"

UNITS: Final = {
    **dict.fromkeys(("By", "", "B", "byte", "bytes", "{byte}", "{bytes}"), 1),
    "KiBy": 2**10,
    "MiBy": 2**20,
    "GiBy": 2**30,
    "kBy": 10**3,
    "MBy": 10**6,
    "GBy": 10**9,
}
"""Bytes in one of each unit; Node.js reports none, some Rust crates write out "byte"."""

Attributes = tuple[tuple[str, str], ...]
Role = Literal[
    "resident", "heap_used", "heap_committed", "heap_limit", "external", "limit",
    "python_heap", "native_heap", "retained", "other_anonymous", "file", "shared",
]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Meaning:
    """What one metric says.

    Attributes:
        metric: Its name.
        role: What it is the size of.
        rank: Where several metrics tell the same, the lowest is believed.
        is_summed: Whether its points are parts, such as pools or spaces, that add up.
        attribute: The attribute that a point must have to count, and its value; None for all.
    """

    metric: str
    role: Role
    rank: int
    is_summed: bool = False
    attribute: tuple[str, str] | None = None

    def fits(self, attributes: Attributes) -> bool:
        """Return whether a point with these attributes says this."""
        return self.attribute is None or self.attribute in attributes


class Key(NamedTuple):
    """One number of a moment. Attributes are empty where points do not add up."""

    meaning: Meaning
    scope: str
    attributes: Attributes


_FAMILY, _OWN, _CONVENTION = 0, 1, 2
_JVM_HEAP: Final = ("jvm.memory.type", "heap")

MEANINGS: Final[Sequence[Meaning]] = (
    # This package, in Python processes.
    *(
        Meaning(SEGMENT_METRIC, segment, _OWN, attribute=(SEGMENT_ATTRIBUTE, segment))
        for segment in SEGMENTS
    ),
    Meaning("cpython.memory.heap.used", "heap_used", _OWN),
    Meaning("cpython.memory.heap.committed", "heap_committed", _OWN),
    Meaning("process.memory.limit", "limit", _OWN),
    # The family that the collector makes of all languages.
    Meaning("process.memory.usage", "resident", _FAMILY),
    Meaning("process.runtime.memory.heap.used", "heap_used", _FAMILY),
    Meaning("process.runtime.memory.heap.committed", "heap_committed", _FAMILY),
    Meaning("process.runtime.memory.heap.limit", "heap_limit", _FAMILY),
    Meaning("process.runtime.memory.external", "external", _FAMILY),
    # What the languages' own instrumentations send: parts that add up.
    Meaning("v8js.memory.heap.used", "heap_used", _CONVENTION, is_summed=True),
    Meaning(
        "v8js.memory.heap.space.physical_size", "heap_committed", _CONVENTION, is_summed=True
    ),
    Meaning("jvm.memory.used", "heap_used", _CONVENTION, is_summed=True, attribute=_JVM_HEAP),
    Meaning(
        "jvm.memory.committed", "heap_committed", _CONVENTION, is_summed=True, attribute=_JVM_HEAP
    ),
    Meaning("jvm.memory.limit", "heap_limit", _CONVENTION, is_summed=True, attribute=_JVM_HEAP),
    Meaning("jvm.buffer.memory.used", "external", _CONVENTION, is_summed=True),
    Meaning(
        "go.memory.used", "heap_used", _CONVENTION, is_summed=True,
        attribute=("go.memory.type", "other"),
    ),
    Meaning("go.memory.used", "heap_committed", _CONVENTION, is_summed=True),
    Meaning("go.memory.limit", "heap_limit", _CONVENTION),
    Meaning("dotnet.process.memory.working_set", "resident", _CONVENTION),
    Meaning("dotnet.gc.last_collection.heap.size", "heap_used", _CONVENTION, is_summed=True),
    Meaning("dotnet.gc.last_collection.memory.committed_size", "heap_committed", _CONVENTION),
    # Up to .NET 8, by OpenTelemetry.Instrumentation.Runtime.
    Meaning("process.runtime.dotnet.gc.heap.size", "heap_used", _CONVENTION, is_summed=True),
    Meaning("process.runtime.dotnet.gc.committed_memory.size", "heap_committed", _CONVENTION),
    # Prometheus' client libraries, scraped by a collector.
    Meaning("process_resident_memory_bytes", "resident", _CONVENTION),
)  # fmt: skip


def _by_metric() -> Mapping[str, tuple[Meaning, ...]]:
    meanings: dict[str, tuple[Meaning, ...]] = defaultdict(tuple)
    for meaning in MEANINGS:
        meanings[meaning.metric] += (meaning,)
    return dict(meanings)


BY_METRIC: Final = _by_metric()
