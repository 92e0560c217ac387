"""A snapshot: what is known of a process and its leak, as one JSON document.

`process-memory-snapshot-1.json` beside this file is its schema. Nothing is in the document beyond
what the frozen values hold, and it is bounded whatever they hold: lists are cut, and every text is
cut and freed of control characters once more.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from opentelemetry.instrumentation.memory.model import SEGMENTS
from opentelemetry.instrumentation.memory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.instrumentation.memory.evidence import Evidence
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample, Partition
    from opentelemetry.instrumentation.memory.responders.identity import Identity

SnapshotReason = Literal["confirmed", "fragmentation", "near_limit", "signal", "api"]
"""Why a snapshot was written."""

SCHEMA: Final = "process-memory-snapshot/1"
MAXIMUM_BYTES: Final = 256 * 2**10
"""No document is larger, by the bounds below."""

TEXT_BYTES: Final = 200
SENTENCE_BYTES: Final = 800
"""Of a sentence, which names several things."""

HISTORY_POINTS: Final = 60
# Rows of these have many texts each, or long ones; rows of the others few.
_MOST_ROWS: Final = {
    "sites": 10,
    "containers": 10,
    "callers": 25,
    "element_types": 8,
    "advice": 10,
    "skipped": 10,
}
_MOST_OTHER_ROWS: Final = 20

_SENTENCES: Final = frozenset({"sentence", "text", "why"})

_PACKAGE: Final = "opentelemetry-instrumentation-memory"
_ELLIPSIS: Final = "…"
_DECIMALS: Final = 6
_LARGEST: Final = 2**63 - 1
_LAST_YEAR_SECONDS: Final = 253_402_300_799.0


@dataclass(frozen=True, slots=True)
class Moment:
    """One time on both clocks.

    Attributes:
        epoch_seconds: Since 1970, UTC.
        monotonic_seconds: On the clock of `MemorySample.taken_at_seconds`.
    """

    epoch_seconds: float
    monotonic_seconds: float


def document(  # noqa: PLR0913 - each is one thing that a snapshot says
    reason: SnapshotReason,
    *,
    sample: MemorySample | None,
    verdict: LeakVerdict | None,
    history: Sequence[MemorySample],
    evidence: Evidence | None,
    identity: Identity,
    now: Moment,
    why_no_evidence: str = "nothing was investigated since the process began",
) -> dict[str, Any]:
    """Return the document; unknown is null.

    Takes under a millisecond. Nothing is read from the process.

    Args:
        reason: Why it is written.
        sample: The latest one.
        verdict: What the detector thinks of it.
        history: Samples, oldest first; thinned to `HISTORY_POINTS`.
        evidence: What the last investigation found.
        identity: Whose memory it is.
        now: When it is written.
        why_no_evidence: In words; used where `evidence` is None.
    """
    return {
        "schema": SCHEMA,
        "written_at": _iso_time(now.epoch_seconds),
        "reason": reason,
        "service": {
            "name": _text(identity.service_name) or None,
            "version": _text(identity.service_version) or None,
            "instance_id": _text(identity.service_instance_id) or None,
        },
        "process": {
            "pid": identity.pid,
            "uptime_seconds": _number(identity.uptime_seconds),
            "runtime_name": _text(identity.runtime_name),
            "runtime_version": _text(identity.runtime_version),
        },
        "package": {"name": _PACKAGE, "version": _text(__version__)},
        "verdict": None if verdict is None else _plain(verdict),
        "sample": None if sample is None else _sample(sample, now),
        "history": [_point(each, now) for each in thinned(history)],
        "evidence": None if evidence is None else _plain(evidence),
        "why_no_evidence": _text(why_no_evidence) if evidence is None else None,
    }


def to_json(document: dict[str, Any]) -> str:
    """Return the document in one line."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def thinned(history: Sequence[MemorySample]) -> list[MemorySample]:
    """Return the first, the last, and others evenly between them."""
    if len(history) <= HISTORY_POINTS:
        return list(history)
    last = len(history) - 1
    return [history[round(step * last / (HISTORY_POINTS - 1))] for step in range(HISTORY_POINTS)]


def _sample(sample: MemorySample, now: Moment) -> dict[str, Any]:
    return {
        "seconds_ago": _seconds_ago(sample, now),
        "resident_bytes": _plain(sample.resident_bytes),
        "virtual_bytes": _plain(sample.virtual_bytes),
        "segments": _segments(sample.partition),
        "heap_used_bytes": _plain(sample.heap_used_bytes),
        "heap_committed_bytes": _plain(sample.heap_committed_bytes),
        "python_heap_age_seconds": _number(sample.python_heap_age_seconds),
        "native_heap_age_seconds": _number(sample.native_heap_age_seconds),
        "limit_bytes": _plain(sample.limit_bytes),
        "limit_usage_bytes": _plain(sample.limit_usage_bytes),
        "limit_utilization": _number(sample.limit_utilization),
        "headroom_bytes": _plain(sample.headroom_bytes),
        "gc_generations": [_plain(each) for each in sample.gc_generations[:_MOST_OTHER_ROWS]],
    }


def _point(sample: MemorySample, now: Moment) -> dict[str, Any]:
    return {
        "seconds_ago": _seconds_ago(sample, now),
        "resident_bytes": _plain(sample.resident_bytes),
        "segments": _segments(sample.partition),
    }


def _segments(partition: Partition) -> dict[str, int | None]:
    present = dict(partition.present())
    return {f"{segment}_bytes": _plain(present.get(segment)) for segment in SEGMENTS}


def _seconds_ago(sample: MemorySample, now: Moment) -> float | None:
    return _number(max(now.monotonic_seconds - sample.taken_at_seconds, 0.0))


def _plain(value: Any) -> Any:
    """Return a frozen value as what JSON knows, with bounds."""
    if is_dataclass(value):
        return {each.name: _field(each.name, getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return _number(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return min(max(value, -_LARGEST), _LARGEST)
    # A value of a kind that nobody has thought of stays inside.
    return None


def _field(name: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return _rows(name, value)
    if name in _SENTENCES and isinstance(value, str):
        return _text(value, SENTENCE_BYTES)
    return _plain(value)


def _rows(name: str, values: tuple[Any, ...]) -> list[Any]:
    kept = values[: _MOST_ROWS.get(name, _MOST_OTHER_ROWS)]
    if name == "element_types":
        return [{"type_name": _text(each), "count": _plain(count)} for each, count in kept]
    return [_plain(each) for each in kept]


def _number(value: float | None) -> float | None:
    """Return a number that JSON can hold."""
    return None if value is None or not math.isfinite(value) else round(value, _DECIMALS)


def _text(text: str, most_bytes: int = TEXT_BYTES) -> str:
    """Return text without what a terminal or a viewer would obey, in at most so many bytes."""
    # Each character takes a byte at least: what is beyond that is not looked at.
    shown = "".join(each for each in text[: most_bytes + 1] if each.isprintable())
    raw = shown.encode()
    if len(raw) <= most_bytes and len(text) <= most_bytes + 1:
        return shown
    return raw[: most_bytes - len(_ELLIPSIS.encode())].decode(errors="ignore") + _ELLIPSIS


def _iso_time(epoch_seconds: float) -> str:
    # A clock that is far off must not cost the snapshot.
    bounded = min(max(epoch_seconds, 0.0), _LAST_YEAR_SECONDS)
    moment = dt.datetime.fromtimestamp(bounded, dt.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
