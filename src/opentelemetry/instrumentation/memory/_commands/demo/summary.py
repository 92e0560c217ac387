"""What a run has shown, in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._commands.demo.figures import mebibytes, percent
from opentelemetry.instrumentation.memory._commands.demo.recording import USAGE_METRIC
from opentelemetry.instrumentation.memory._commands.demo.verdict import (
    conclusion,
    event,
    leak_began_seconds,
)
from opentelemetry.instrumentation.memory.model import SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.instrumentation.memory._commands.demo.play import Scene
    from opentelemetry.instrumentation.memory._commands.demo.recording import Recording


def summary(scene: Scene) -> str:
    """Return the verdict, how the segments went, whether they added up, and the cost."""
    recording = scene.recording
    verdict = (*_early_alarms(scene), conclusion(scene))
    return "\n".join(
        (*_courses(recording), "", *verdict, "", _sums(recording), _cost(recording, scene))
    )


def _early_alarms(scene: Scene) -> list[str]:
    """Return what was said before there was a leak: each of these was a false alarm."""
    began_seconds = leak_began_seconds(scene)
    lines = []
    for each in scene.recording.events:
        at_seconds = each.arrived_at_seconds - scene.began_at_seconds
        if began_seconds is None or at_seconds <= began_seconds:
            lines.append(f"Before the leak, at {at_seconds:.0f} s: {event(each)}.")
    return lines


def _courses(recording: Recording) -> list[str]:
    return [
        f"{'MiB':<16}{'first':>8}{'peak':>8}{'last':>8}",
        *(_course(segment, recording.segment_series(segment)) for segment in SEGMENTS),
        _course("resident set", recording.series(USAGE_METRIC)),
    ]


def _course(name: str, values: Sequence[float]) -> str:
    if not values:
        return f"{name:<16}  absent, see `opentelemetry-memory doctor`"
    points = (values[0], max(values), values[-1])
    return f"{name:<16}" + "".join(f"{mebibytes(value):>8}" for value in points)


def _sums(recording: Recording) -> str:
    count, exact = len(recording.exports), recording.exact_exports
    if exact == count:
        return (
            f"The segments added up to the resident set size, to the byte, in all {count} exports."
        )
    return f"The segments added up to the resident set size in {exact} of {count} exports only."


def _cost(recording: Recording, scene: Scene) -> str:
    cpu_seconds = recording.monitor_cpu_seconds
    if cpu_seconds is None:
        return "What the monitor cost is unknown: too few exports."
    return (
        f"The monitor used {cpu_seconds * 1000:.1f} ms of CPU, "
        f"{percent(recording.monitor_cpu_share)} of one core. The demo samples every "
        f"{scene.sampling_seconds:g} s;\nby default a quiet process is sampled every 10 s, "
        "for at most 0.03 % of one core."
    )
