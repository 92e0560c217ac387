"""The demo as lines of text: one for each export, every figure in it."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from opentelemetry.instrumentation.memory._commands.demo.figures import mebibytes, percent
from opentelemetry.instrumentation.memory._commands.demo.phases import PHASES
from opentelemetry.instrumentation.memory._commands.demo.recording import USAGE_METRIC

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
        """Write the phases that have begun and the exports that have arrived since the last."""
        for number, start in enumerate(scene.starts[self._shown_starts :], self._shown_starts + 1):
            self._write(f"phase {number}/{len(PHASES)}, {start.phase.title}: {start.phase.meaning}")
        self._shown_starts = len(scene.starts)
        for export in scene.recording.exports[self._shown_exports :]:
            at_seconds = export.arrived_at_seconds - scene.began_at_seconds
            self._write(line(export, at_seconds, scene.recording.monitor_cpu_share))
        self._shown_exports = len(scene.recording.exports)

    def _write(self, text: str) -> None:
        self._output.write(text + "\n")
        self._output.flush()


def line(export: Export, at_seconds: float, monitor_cpu_share: float | None) -> str:
    """Return all figures of one export in one line."""
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
        f"monitor {percent(monitor_cpu_share, 3)}",
    )
    return "; ".join(parts)
