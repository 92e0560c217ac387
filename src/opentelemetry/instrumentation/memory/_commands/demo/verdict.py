"""What the detector has said so far, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.demo.figures import duration, mebibytes
from opentelemetry.instrumentation.memory._commands.demo.phases import LEAK
from opentelemetry.instrumentation.memory._commands.demo.recording import (
    EXHAUSTION_METRIC,
    LIMIT_METRIC,
    RISK_METRIC,
)

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._commands.demo.play import Scene
    from opentelemetry.instrumentation.memory._commands.demo.recording import Export, LeakEvent

_SUSPECTED_RISK: Final = 0.5


def growth(export: Export) -> str:
    """Return what grows how fast and how long that can go on; empty when nothing is suspected."""
    paces = [f"{segment} {mebibytes(pace)} MiB/s" for segment, pace in export.growth().items()]
    left_seconds = export.value(EXHAUSTION_METRIC)
    if left_seconds is not None:
        paces.append(_exhaustion(left_seconds, export.value(LIMIT_METRIC)))
    return ", ".join(paces)


def headline(told: LeakEvent) -> str:
    """Return an event's state, risk and growth."""
    parts = [f"{told.state}, risk {told.risk:.2f}"]
    if told.growth_bytes_per_second is not None:
        parts.append(f"{told.segment} grows by {mebibytes(told.growth_bytes_per_second)} MiB/s")
    return ", ".join(parts)


def event(told: LeakEvent) -> str:
    """Return all figures of an event, without its reason."""
    if told.time_to_exhaustion_seconds is None:
        return headline(told)
    return f"{headline(told)}, limit in {duration(told.time_to_exhaustion_seconds)}"


def leak_began_seconds(scene: Scene) -> float | None:
    """Return when the leak began, from the start of the run, or None when it has not."""
    for start in scene.starts:
        if start.phase == LEAK:
            return start.at_seconds - scene.began_at_seconds
    return None


def confirmation(scene: Scene) -> LeakEvent | None:
    """Return the event that confirmed the leak, or None while none has."""
    began_seconds = leak_began_seconds(scene)
    if began_seconds is None:
        return None
    for each in scene.recording.events:
        is_after = each.arrived_at_seconds - scene.began_at_seconds > began_seconds
        if is_after and each.state == "confirmed":
            return each
    return None


def conclusion(scene: Scene) -> str:
    """Return what the run has shown of the leak, whichever way it went."""
    began_seconds = leak_began_seconds(scene)
    if began_seconds is None:
        return "Verdict: none. The run ended before the leak began."
    confirmed = confirmation(scene)
    if confirmed is not None:
        return _confirmed(scene, confirmed, began_seconds)
    samples = (scene.elapsed_seconds - began_seconds) / scene.sampling_seconds
    state = "none" if scene.opinion is None else scene.opinion.state
    # The last export may be newer than what the service was last asked.
    is_suspected = state == "suspected" or _last_risk(scene) >= _SUSPECTED_RISK
    told = "suspected, not confirmed" if is_suspected else f"{state}, nothing confirmed"
    reason = "" if scene.opinion is None else f"\nReason: {scene.opinion.reason}."
    return (
        f"Verdict: {told}. The run was too short: evidence counts in samples, and there were about "
        f"{samples:.0f}\nof the leak. 60 s or more are enough.{reason}"
    )


def _confirmed(scene: Scene, told: LeakEvent, began_seconds: float) -> str:
    at_seconds = told.arrived_at_seconds - scene.began_at_seconds
    after = f"{at_seconds - began_seconds:.0f} s after it began, at {at_seconds:.0f} s"
    lines = [
        f"Verdict: leak confirmed {after}; risk {told.risk:.2f}.",
        f"Reason: {told.reason}.",
    ]
    latest = scene.recording.latest
    at_the_end = "" if latest is None else growth(latest)
    if at_the_end:
        lines.append(f"At the end: {at_the_end}.")
    return "\n".join(lines)


def _last_risk(scene: Scene) -> float:
    latest = scene.recording.latest
    return 0.0 if latest is None else latest.value(RISK_METRIC) or 0.0


def _exhaustion(seconds: float, limit_bytes: float | None) -> str:
    limit = "the limit" if limit_bytes is None else f"the limit of {mebibytes(limit_bytes)} MiB"
    return f"{limit} is reached in {duration(seconds)}"
