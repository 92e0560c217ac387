"""Draw the README's pictures from a real run of the demo's service.

    python scripts/draw_chart.py                docs/images/segments.png
    python scripts/draw_chart.py --screen       docs/images/demo.svg as well, the demo's terminal

What is drawn has gone over OTLP: see `opentelemetry-memory demo`.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from rich.console import Console

from opentelemetry.instrumentation.memory import SEGMENTS
from opentelemetry.instrumentation.memory._commands.demo.play import play
from opentelemetry.instrumentation.memory._commands.demo.recording import USAGE_METRIC
from opentelemetry.instrumentation.memory._commands.demo.screen import WIDTH, picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from opentelemetry.instrumentation.memory._commands.demo.play import Scene

mpl.use("Agg")

from matplotlib import pyplot as plt

IMAGES: Final = Path(__file__).resolve().parents[1] / "docs" / "images"
MEBIBYTE: Final = 2**20

# Okabe and Ito's palette, which differs for color-blind eyes too; text that is legible on it.
FILLS: Final = {
    "python_heap": ("#0072B2", "white"),
    "native_heap": ("#E69F00", "#221a00"),
    "retained": ("#D55E00", "white"),
    "other_anonymous": ("#CC79A7", "#2b0f20"),
    "file": ("#009E73", "white"),
    "shared": ("#F0E442", "#2b2900"),
}
INK: Final = "#1f2328"
FAINT: Final = "#656d76"
# A label's character, as a share of the chart's width.
CHARACTER_SHARE: Final = 0.0095
# Where the picture of the screen is taken: while 7 of 8 rows are being dropped.
SCREEN_SHARE: Final = 0.86


class Camera:
    """Takes a picture of the demo's screen once, when its moment has come."""

    def __init__(self) -> None:
        self._console = Console(
            record=True,
            width=WIDTH,
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
        )
        self._has_taken = False

    def show(self, scene: Scene) -> None:
        """Look at a scene."""
        is_time = scene.elapsed_seconds >= SCREEN_SHARE * scene.total_seconds
        if is_time and not self._has_taken:
            self._console.print(picture(scene))
            self._has_taken = True

    def save(self, path: Path) -> None:
        """Write the picture."""
        svg = self._console.export_svg(title="opentelemetry-memory demo", unique_id="demo")
        # The fonts would be fetched from the network, by whoever looks at the picture.
        path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


def draw(scene: Scene, path: Path) -> None:
    """Draw the segments of a run, one upon the other."""
    exports = scene.recording.exports
    seconds = [export.arrived_at_seconds - scene.began_at_seconds for export in exports]
    mebibytes = [
        [export.segments().get(segment, 0.0) / MEBIBYTE for export in exports]
        for segment in SEGMENTS
    ]
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 11, "text.color": INK})
    figure, axes = plt.subplots(figsize=(12, 6.4), dpi=160)
    figure.subplots_adjust(left=0.062, right=0.985, top=0.80, bottom=0.085)
    axes.stackplot(
        seconds,
        mebibytes,
        colors=[FILLS[segment][0] for segment in SEGMENTS],
        edgecolor="white",
        linewidth=0.6,
    )
    usage = [(export.value(USAGE_METRIC) or 0.0) / MEBIBYTE for export in exports]
    axes.plot(seconds, usage, color=INK, linewidth=2.2, solid_joinstyle="round")
    limit = (exports[-1].value("process.memory.limit") or 0.0) / MEBIBYTE
    axes.set_xlim(seconds[0], seconds[-1])
    axes.set_ylim(0, 1.14 * max(limit, *usage))
    _label_segments(axes, seconds, mebibytes)
    _label_lines(axes, seconds, usage, limit)
    _label_phases(axes, scene, seconds[-1])
    _style(axes)
    figure.text(0.012, 0.945, "Where every byte of a Python process is", size=19, weight="bold")
    figure.text(
        0.012,
        0.902,
        f"A Flask service under gunicorn: {len(exports)} exports over OTLP in "
        f"{scene.elapsed_seconds:.0f} s. In {_all(scene)} the segments add up to the resident "
        "set size, to the byte.",
        color=FAINT,
    )
    figure.savefig(path)
    plt.close(figure)


def _all(scene: Scene) -> str:
    recording = scene.recording
    count = len(recording.exports)
    return "each of them" if recording.exact_exports == count else f"{recording.exact_exports}"


def _label_segments(axes: Axes, seconds: Sequence[float], mebibytes: list[list[float]]) -> None:
    for row, segment in enumerate(SEGMENTS):
        low = [sum(column[:row]) for column in zip(*mebibytes, strict=True)]
        high = [sum(column[: row + 1]) for column in zip(*mebibytes, strict=True)]
        index, middle = _roomiest(seconds, low, high, len(segment))
        axes.text(
            seconds[index],
            middle,
            segment,
            ha="center",
            va="center",
            size=12,
            weight="bold",
            color=FILLS[segment][1],
        )


def _roomiest(
    seconds: Sequence[float], low: Sequence[float], high: Sequence[float], characters: int
) -> tuple[int, float]:
    """Return where a label of that length has the most room: index, and height in MiB."""
    reach = round(len(seconds) * characters * CHARACTER_SHARE / 2)
    room = {}
    for index in range(reach, len(seconds) - reach):
        window = slice(index - reach, index + reach + 1)
        floor, ceiling = max(low[window]), min(high[window])
        room[index] = (ceiling - floor, (ceiling + floor) / 2)
    most = max(size for size, _ in room.values())
    best = [index for index, (size, _) in room.items() if size > most - 3]
    index = best[len(best) // 2]
    return index, room[index][1]


def _label_lines(
    axes: Axes, seconds: Sequence[float], usage: Sequence[float], limit: float
) -> None:
    first = next(index for index, value in enumerate(usage) if value > 0.3 * max(usage))
    axes.annotate(
        "resident set size",
        (seconds[first], usage[first]),
        (-10, 34),
        textcoords="offset points",
        ha="right",
        size=12,
        weight="bold",
        arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 1},
    )
    if limit:
        axes.axhline(limit, color="#a40e26", linewidth=1.8, linestyle=(0, (6, 4)))
        axes.annotate(
            f"limit {limit:.0f} MiB",
            (seconds[0], limit),
            (8, 6),
            textcoords="offset points",
            color="#a40e26",
            size=12,
            weight="bold",
        )


def _label_phases(axes: Axes, scene: Scene, last_seconds: float) -> None:
    starts = [start.at_seconds - scene.began_at_seconds for start in scene.starts]
    for number, start in enumerate(scene.starts):
        begin = starts[number]
        end = starts[number + 1] if number + 1 < len(starts) else last_seconds
        if number:
            axes.axvline(begin, color=INK, linewidth=0.7, alpha=0.35, linestyle=(0, (1, 2)))
        axes.annotate(
            textwrap.fill(start.phase.title, 13),
            ((begin + end) / 2, 1),
            (0, 8),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="bottom",
            size=9.5,
            color=INK,
            linespacing=1.15,
        )


def _style(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=FAINT, length=0)
    axes.set_axisbelow(False)
    axes.yaxis.grid(visible=True, color="black", alpha=0.10, linewidth=0.8)
    axes.yaxis.set_major_locator(plt.MultipleLocator(100))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f}" + (" MiB" if value else ""))
    axes.xaxis.set_major_locator(plt.MultipleLocator(10))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} s")


def main() -> None:
    """Run the service and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the run is")
    parser.add_argument("--screen", action="store_true", help="draw the terminal screen as well")
    options = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    camera = Camera()
    print(f"running the sample service for {options.seconds:g} s")
    scene = play(options.seconds, os.environ, camera.show, lambda: False)
    draw(scene, IMAGES / "segments.png")
    print(f"wrote {IMAGES / 'segments.png'}")
    if options.screen:
        camera.save(IMAGES / "demo.svg")
        print(f"wrote {IMAGES / 'demo.svg'}")


if __name__ == "__main__":
    main()
