"""The demo as a live screen: the segments as a table, each with its course over the run."""

from __future__ import annotations

import errno
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from opentelemetry.instrumentation.memory._commands.demo.figures import (
    UNKNOWN,
    mebibytes,
    percent,
)
from opentelemetry.instrumentation.memory._commands.demo.phases import PHASES
from opentelemetry.instrumentation.memory._commands.demo.recording import (
    LIMIT_METRIC,
    RISK_METRIC,
    USAGE_METRIC,
)
from opentelemetry.instrumentation.memory._commands.demo.verdict import growth, headline
from opentelemetry.instrumentation.memory.model import SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from rich.console import RenderableType
    from typing_extensions import Self

    from opentelemetry.instrumentation.memory._commands.demo.play import Scene
    from opentelemetry.instrumentation.memory._commands.demo.recording import Export

# Okabe and Ito's colors, which differ for color-blind eyes too, brightened for dark terminals.
SEGMENT_COLORS: Final = {
    "python_heap": "#3b9be0",
    "native_heap": "#e69f00",
    "retained": "#e4572e",
    "other_anonymous": "#d98ac0",
    "file": "#19b38a",
    "shared": "#f0e442",
}
STATE_COLORS: Final = {
    "warming_up": "#8a8f98",
    "quiet": "#19b38a",
    "suspected": "#e69f00",
    "confirmed": "#ff5c57",
    "recovered": "#3b9be0",
}
WIDTH: Final = 80
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_LEVELS: Final = "▁▂▃▄▅▆▇█"
_BAR_CELLS: Final = 16
_SPARKLINE_CELLS: Final = 24
_RISK_CELLS: Final = 40
_LABEL_CELLS: Final = 8
_REASON_LINES: Final = 2
_EVENT_LINES: Final = 2
# A segment that moves by less than this is drawn flat.
_SMALLEST_SCALE_BYTES: Final = 8 * 2**20


def bar(share: float, cells: int) -> str:
    """Return a bar of so many cells, filled to an eighth of a cell."""
    eighths = round(min(max(share, 0.0), 1.0) * cells * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(cells)


def sparkline(values: Sequence[float], cells: int, smallest_scale: float = 0.0) -> str:
    """Return the course of a series from zero to its maximum, the newest value at the right."""
    if not values:
        return " " * cells
    width = min(cells, len(values))
    # Each cell shows the largest value of its stretch, so that no peak is lost.
    edges = [round(index * len(values) / width) for index in range(width + 1)]
    peaks = [max(values[low:high]) for low, high in pairwise(edges)]
    top = max(*peaks, smallest_scale, 1.0)
    return "".join(_LEVELS[min(7, int(peak / top * 8))] for peak in peaks).ljust(cells)


def picture(scene: Scene) -> RenderableType:
    """Return the whole screen of one moment."""
    export = scene.recording.latest
    parts: list[RenderableType] = [_phase(scene)]
    if export is None:
        parts.append(Text("\nwaiting for the first export …", style="dim"))
    else:
        parts += [part(scene, export) for part in _PARTS]
    return Panel(
        Group(*parts),
        title="[bold]opentelemetry-memory demo[/]",
        subtitle=f"{scene.elapsed_seconds:.0f} of {scene.total_seconds:.0f} s · Ctrl-C ends it",
        width=WIDTH,
        border_style="dim",
    )


def _phase(scene: Scene) -> RenderableType:
    if not scene.starts:
        return Text("starting a web service under opentelemetry-instrument …\n")
    phase = scene.starts[-1].phase
    title = Text.assemble(
        (f"phase {len(scene.starts)}/{len(PHASES)}  ", "dim"),
        (phase.title, "bold"),
    )
    for number, segment in enumerate(phase.segments):
        title.append(", " if number else "  → watch ")
        title.append(segment, style=SEGMENT_COLORS[segment])
    return Group(title, Text(phase.meaning, style="dim"))


def _total(_: Scene, export: Export) -> RenderableType:
    usage = export.value(USAGE_METRIC) or 0.0
    limit = export.value(LIMIT_METRIC)
    cells = WIDTH - 4
    stacked = Text()
    drawn, reached = 0, 0.0
    for segment, value in export.segments().items():
        reached += value
        end = round(reached / (limit or usage or 1.0) * cells)
        stacked.append("█" * (end - drawn), style=SEGMENT_COLORS.get(segment, ""))
        drawn = max(drawn, end)
    stacked.append("░" * (cells - drawn) + "\n", style="dim")
    stacked.append(f"{mebibytes(usage)} MiB resident", style="bold")
    if limit is not None:
        utilization = percent(export.value("process.memory.limit.utilization"))
        stacked.append(f", {utilization} of the limit of {mebibytes(limit)} MiB")
    return stacked


def _segments(scene: Scene, export: Export) -> RenderableType:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    table.add_column("segment")
    table.add_column("MiB", justify="right")
    table.add_column("share", justify="right")
    table.add_column("", width=_BAR_CELLS)
    table.add_column("over the run", width=_SPARKLINE_CELLS)
    usage = export.value(USAGE_METRIC) or 1.0
    present = export.segments()
    for segment in SEGMENTS:
        value = present.get(segment)
        share = None if value is None else value / usage
        course = scene.recording.segment_series(segment)
        table.add_row(
            segment,
            mebibytes(value),
            percent(share),
            bar(share or 0.0, _BAR_CELLS),
            sparkline(course, _SPARKLINE_CELLS, _SMALLEST_SCALE_BYTES),
            style=SEGMENT_COLORS[segment],
        )
    table.add_row(
        "sum = RSS" if export.is_exact else "RSS",
        mebibytes(usage),
        percent(sum(present.values()) / usage),
        "",
        sparkline(scene.recording.series(USAGE_METRIC), _SPARKLINE_CELLS, _SMALLEST_SCALE_BYTES),
        style="bold",
    )
    return table


def _verdict(scene: Scene, export: Export) -> RenderableType:
    state = "" if scene.opinion is None else scene.opinion.state
    color = STATE_COLORS.get(state, "")
    risk = export.value(RISK_METRIC)
    course = sparkline(scene.recording.series(RISK_METRIC), _RISK_CELLS, smallest_scale=1.0)
    said = UNKNOWN if risk is None else f"{risk:.2f}"
    reason = "" if scene.opinion is None else scene.opinion.reason
    judged = Text.assemble((f"{said}  {state:<12}", f"bold {color}"), (course, color))
    rows = [
        ("risk", judged),
        ("growth", Text(growth(export) or "nothing is under suspicion")),
        ("reason", Text(_filled(textwrap.wrap(reason, WIDTH - 4 - _LABEL_CELLS)))),
        ("events", _events(scene)),
    ]
    table = Table(box=None, padding=0, pad_edge=False, show_header=False)
    table.add_column(style="dim", width=_LABEL_CELLS)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    return Group(Text(), table)


def _filled(lines: Sequence[str]) -> str:
    # Always as many, so that nothing below moves.
    return "\n".join([*lines[:_REASON_LINES], *[""] * (_REASON_LINES - len(lines))])


def _events(scene: Scene) -> Text:
    lines = []
    for told in scene.recording.events[-_EVENT_LINES:]:
        at_seconds = told.arrived_at_seconds - scene.began_at_seconds
        style = STATE_COLORS.get(told.state, "")
        lines.append(Text.assemble((f"{at_seconds:.0f} s  ", "dim"), (headline(told), style)))
    lines = lines or [Text("none so far", style="dim")]
    return Text("\n").join([*lines, *[Text()] * (_EVENT_LINES - len(lines))])


def _other_figures(scene: Scene, export: Export) -> RenderableType:
    used = export.value("cpython.memory.heap.used")
    committed = export.value("cpython.memory.heap.committed")
    live = percent(used / committed, 0) if used is not None and committed else UNKNOWN
    parts = (
        f"heap {mebibytes(committed)} MiB, {live} live",
        f"external {mebibytes(export.value('cpython.memory.external'))}",
        f"virtual {mebibytes(export.value('process.memory.virtual'))}",
        f"monitor {percent(scene.recording.monitor_cpu_share)}",
    )
    return Text(" · ".join(parts), style="dim")


def _footer(scene: Scene, export: Export) -> RenderableType:
    recording = scene.recording
    return Text(
        f"{recording.exact_exports} of {len(recording.exports)} exports add up · "
        f"{scene.requests} requests answered by process {export.pid}",
        style="dim",
    )


_PARTS: Final[tuple[Callable[[Scene, Export], RenderableType], ...]] = (
    _total,
    _segments,
    _verdict,
    _other_figures,
    _footer,
)


class ScreenDisplay:
    """Redraws the screen each time it is shown a scene, and leaves the last one behind."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Drawn by the caller's thread alone: `show` comes often enough.
        self._live = Live(console=console, auto_refresh=False, screen=True)
        self._last: RenderableType = ""

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, traceback)
        self._console.print(self._last)

    def show(self, scene: Scene) -> None:
        """Draw a scene.

        Raises:
            OSError: The terminal has gone; rich would go on in silence.
        """
        if not self._console.file.isatty():
            raise OSError(errno.EIO, "the terminal has gone")
        self._last = picture(scene)
        self._live.update(self._last, refresh=True)
