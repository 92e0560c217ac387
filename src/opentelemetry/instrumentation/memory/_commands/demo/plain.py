"""The demo as lines of text: each export with every figure, each event, each new reason."""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING

from opentelemetry.instrumentation.memory._commands.demo.figures import (
    UNKNOWN,
    mebibytes,
    percent,
)
from opentelemetry.instrumentation.memory._commands.demo.phases import PHASES
from opentelemetry.instrumentation.memory._commands.demo.recording import (
    RISK_METRIC,
    USAGE_METRIC,
)
from opentelemetry.instrumentation.memory._commands.demo.verdict import event, growth

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from opentelemetry.instrumentation.memory._commands.demo.play import Scene
    from opentelemetry.instrumentation.memory._commands.demo.recording import Export


class PlainDisplay:
    """Writes what is new, each time it is shown a scene."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output
        self._shown_starts = 0
        self._shown_exports = 0
        self._shown_events = 0
        self._shown_reason = ""

    def __enter__(self) -> Self:
        self._write("starting a web service under opentelemetry-instrument")
        self._write(
            "sizes are in MiB; the monitor's cost is in percent of one core, since the start"
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing is held open."""

    def show(self, scene: Scene) -> None:
        """Write the phases, events, reasons and exports that have come since the last scene."""
        for number, start in enumerate(scene.starts[self._shown_starts :], self._shown_starts + 1):
            self._write(f"phase {number}/{len(PHASES)}, {start.phase.title}: {start.phase.meaning}")
        self._shown_starts = len(scene.starts)
        for told in scene.recording.events[self._shown_events :]:
            at_seconds = told.arrived_at_seconds - scene.began_at_seconds
            self._write(f"{at_seconds:5.1f} s  event: {event(told)}; {told.reason}")
        self._shown_events = len(scene.recording.events)
        self._show_opinion(scene)
        for export in scene.recording.exports[self._shown_exports :]:
            at_seconds = export.arrived_at_seconds - scene.began_at_seconds
            state = "" if scene.opinion is None else scene.opinion.state
            self._write(line(export, at_seconds, scene.recording.monitor_cpu_share, state))
        self._shown_exports = len(scene.recording.exports)

    def _show_opinion(self, scene: Scene) -> None:
        if scene.opinion is None:
            return
        told = f"{scene.opinion.state}: {scene.opinion.reason}"
        # The figures in it change all the time.
        kind = re.sub(r"[\d.]+ ?\w*", "", told)
        if kind != self._shown_reason:
            self._write(f"{scene.elapsed_seconds:5.1f} s  {told}")
        self._shown_reason = kind

    def _write(self, text: str) -> None:
        self._output.write(text + "\n")
        self._output.flush()


def line(
    export: Export, at_seconds: float, monitor_cpu_share: float | None, state: str = ""
) -> str:
    """Return all figures of one export in one line."""
    risk = export.value(RISK_METRIC)
    segments = " + ".join(
        f"{segment} {mebibytes(value)}" for segment, value in export.segments().items()
    )
    heap_used = mebibytes(export.value("cpython.memory.heap.used"))
    heap_committed = mebibytes(export.value("cpython.memory.heap.committed"))
    limit = mebibytes(export.value("process.memory.limit"))
    utilization = percent(export.value("process.memory.limit.utilization"))
    parts = (
        f"{at_seconds:5.1f} s  rss {mebibytes(export.value(USAGE_METRIC))} = {segments}",
        f"heap used {heap_used} of {heap_committed}",
        f"external {mebibytes(export.value('cpython.memory.external'))}",
        f"virtual {mebibytes(export.value('process.memory.virtual'))}",
        f"limit {limit}, {utilization} used",
        f"monitor {percent(monitor_cpu_share)}",
        f"risk {UNKNOWN if risk is None else f'{risk:.2f}'} {state}".rstrip(),
        growth(export),
    )
    return "; ".join(part for part in parts if part)
