"""What is known of one process at one moment, as the detector's sample; and its words."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.sample import (
    sample_from_metrics,
    sample_from_row,
)
from opentelemetry.instrumentation.memory._detection.words import segment_in_words
from opentelemetry.instrumentation.memory._events import SCOPE_NAME
from opentelemetry.instrumentation.memory.model import SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.instrumentation.memory._commands.watch.vocabulary import Key, Role
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample, Segment

NANOSECONDS: Final = 1e9
_NAMES: Final[tuple[Role, ...]] = (*SEGMENTS, "limit", "heap_used", "heap_committed")


@dataclass(frozen=True, slots=True)
class Wording:
    """What a runtime calls the detector's segments, where not the same."""

    names: Mapping[Segment, str]

    def name(self, segment: Segment) -> str:
        """Return the value of `process.memory.segment`."""
        return self.names.get(segment, segment)

    def reason(self, verdict: LeakVerdict) -> str:
        """Return the verdict's reason about this runtime's segments."""
        text = verdict.reason
        for segment, name in self.names.items():
            text = text.replace(segment_in_words(segment), _IN_WORDS[name])
        return text


_IN_WORDS: Final = {
    "runtime_heap": "runtime heap",
    "external": "external memory",
    "resident": "resident set",
}
PYTHON: Final = Wording({})
_HEAP: Final[Mapping[Segment, str]] = {"python_heap": "runtime_heap", "native_heap": "external"}
# With external memory told, the rest is neither; without, all outside of the heap is external.
_TOLD: Final = Wording(_HEAP)
_DERIVED: Final = Wording({**_HEAP, "other_anonymous": "external"})
_RESIDENT_ONLY: Final = Wording({"other_anonymous": "resident"})


@dataclass(frozen=True, slots=True)
class Moment:
    """A sample, and how to speak of it.

    Attributes:
        sample: What the detector judges.
        wording: What its segments are called.
        outer_headroom_bytes: What is left of the limit of the whole process, where the limit of
            the heap is nearer: memory outside of the heap grows until there.
        is_heap_limited: Whether the sample's limit is that of the heap.
    """

    sample: MemorySample
    wording: Wording
    outer_headroom_bytes: int | None = None
    is_heap_limited: bool = False

    def time_to_exhaustion(self, verdict: LeakVerdict) -> float | None:
        """Return the seconds until the limit that the suspects grow into."""
        if not self.is_heap_limited or any(
            each.segment == "python_heap" for each in verdict.growth
        ):
            return verdict.time_to_exhaustion_seconds
        pace = sum(each.bytes_per_second for each in verdict.growth)
        if self.outer_headroom_bytes is None or pace <= 0:
            return None
        return self.outer_headroom_bytes / pace


def moment_of(time: int, values: Mapping[Key, int]) -> Moment | None:
    """Return the moment at a time in nanoseconds, or None when nothing in it can be judged."""
    known = _by_role(values)
    seconds = time / NANOSECONDS
    if "other_anonymous" in known:
        named: dict[str, int] = {name: known[name] for name in _NAMES if name in known}
        sample = sample_from_metrics(seconds, named)
        return None if sample is None else Moment(sample, PYTHON)
    used, committed = known.get("heap_used"), known.get("heap_committed")
    external, limit = known.get("external"), known.get("limit")
    resident = known.get("resident")
    # A runtime that tells no resident set is judged by what it has obtained: no remainder then.
    obtained = max(used or 0, committed or 0) + (external or 0)
    if resident is None and used is None and committed is None:
        return None
    row = sample_from_row(
        seconds, obtained if resident is None else resident, used, committed, external, limit
    )
    if used is None and external is None:
        return Moment(row, _RESIDENT_ONLY)
    wording = _DERIVED if external is None else _TOLD
    return _with_heap_limit(row, wording, known.get("heap_limit"))


def _with_heap_limit(row: MemorySample, wording: Wording, heap_limit: int | None) -> Moment:
    """Take the limit of the heap for that of the process, where it is reached first."""
    outer = row.headroom_bytes
    if not heap_limit or row.heap_used_bytes is None or row.resident_bytes is None:
        return Moment(row, wording)
    headroom = max(heap_limit - row.heap_used_bytes, 0)
    if outer is not None and outer <= headroom:
        return Moment(row, wording)
    # In terms of the resident set: where that will be once the heap is full.
    limited = dataclasses.replace(row, limit_bytes=row.resident_bytes + headroom)
    return Moment(limited, wording, outer, is_heap_limited=True)


def _by_role(values: Mapping[Key, int]) -> dict[Role, int]:
    """Return one number a role: of the preferred metric and scope, the sum of its parts."""
    chosen: dict[Role, Key] = {}
    sums: dict[Role, int] = {}
    for key, value in values.items():
        role = key.meaning.role
        best = chosen.get(role)
        order = 0 if best is None else _order(key, best)
        if best is None or order < 0:
            chosen[role], sums[role] = key, value
        elif order == 0:
            sums[role] += value
    return sums


def _order(key: Key, best: Key) -> int:
    """Return below 0 when a key is to be preferred, 0 when both are parts of one number."""
    if key.meaning is not best.meaning:
        return key.meaning.rank - best.meaning.rank or -1
    if key.scope == best.scope:
        return 0
    # Several instrumentations tell the same, some of them of the parent process: ours is right.
    return (
        -1 if (key.scope != SCOPE_NAME, key.scope) < (best.scope != SCOPE_NAME, best.scope) else 1
    )
