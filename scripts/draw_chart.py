"""Draw the README's pictures from a real run of the demo's service.

    python scripts/draw_chart.py                docs/images/segments.png
    python scripts/draw_chart.py --screen       docs/images/demo.svg as well, the demo's terminal

What is drawn has gone over OTLP: see `opentelemetry-memory demo`.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from rich.console import Console

from opentelemetry.instrumentation.memory import SEGMENTS
from opentelemetry.instrumentation.memory._commands.demo.figures import duration, mebibytes
from opentelemetry.instrumentation.memory._commands.demo.phases import LEAK
from opentelemetry.instrumentation.memory._commands.demo.play import play
from opentelemetry.instrumentation.memory._commands.demo.recording import (
    RISK_METRIC,
    USAGE_METRIC,
)
from opentelemetry.instrumentation.memory._commands.demo.screen import WIDTH, picture
from opentelemetry.instrumentation.memory._commands.demo.verdict import confirmation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from opentelemetry.instrumentation.memory._commands.demo.load import Opinion
    from opentelemetry.instrumentation.memory._commands.demo.play import Scene
    from opentelemetry.instrumentation.memory._commands.demo.recording import LeakEvent

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
CHARACTER_SHARE: Final = 0.0115
ALARM: Final = "#a40e26"
SUSPECTED_RISK: Final = 0.5
CONFIRMED_RISK: Final = 0.9
RISK_FILLS: Final = {0.0: "#8fbf9b", SUSPECTED_RISK: "#f0b43c", CONFIRMED_RISK: "#c2384d"}
LABEL_SIZES: Final = (12.5, 11.5, 10.5, 9.5)
LEAST_LABEL_MEBIBYTES: Final = 26
# Where the picture of the screen is taken: some time after the leak has been confirmed.
SCREEN_SHARE: Final = 0.97


class Camera:
    """Takes a picture of the demo's screen once, and notes what the detector says meanwhile."""

    def __init__(self) -> None:
        self._console = Console(
            record=True,
            width=WIDTH,
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
        )
        self._has_taken = False
        self.opinions: list[tuple[float, Opinion]] = []

    def show(self, scene: Scene) -> None:
        """Look at a scene."""
        if scene.opinion is not None:
            self.opinions.append((scene.elapsed_seconds, scene.opinion))
        is_time = scene.elapsed_seconds >= SCREEN_SHARE * scene.total_seconds
        if is_time and not self._has_taken:
            self._console.print(picture(scene))
            self._has_taken = True

    def save(self, path: Path) -> None:
        """Write the picture."""
        svg = self._console.export_svg(title="opentelemetry-memory demo", unique_id="demo")
        # The fonts would be fetched from the network, by whoever looks at the picture.
        path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


def draw(scene: Scene, opinions: Sequence[tuple[float, Opinion]], path: Path) -> None:
    """Draw the segments of a run, one upon the other, and the risk below them."""
    exports = scene.recording.exports
    seconds = [export.arrived_at_seconds - scene.began_at_seconds for export in exports]
    sizes = [
        [export.segments().get(segment, 0.0) / MEBIBYTE for export in exports]
        for segment in SEGMENTS
    ]
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 11, "text.color": INK})
    figure, (axes, strip) = plt.subplots(
        2, 1, figsize=(12, 7.6), dpi=160, sharex=True, height_ratios=(4.1, 1)
    )
    figure.subplots_adjust(left=0.068, right=0.932, top=0.815, bottom=0.055, hspace=0.09)
    axes.stackplot(
        seconds,
        sizes,
        colors=[FILLS[segment][0] for segment in SEGMENTS],
        edgecolor="white",
        linewidth=0.6,
    )
    usage = [(export.value(USAGE_METRIC) or 0.0) / MEBIBYTE for export in exports]
    axes.plot(seconds, usage, color=INK, linewidth=2.2, solid_joinstyle="round")
    limit = (exports[-1].value("process.memory.limit") or 0.0) / MEBIBYTE
    axes.set_xlim(seconds[0], seconds[-1])
    axes.set_ylim(0, 1.14 * max(limit, *usage))
    _label_segments(axes, seconds, sizes)
    _label_lines(axes, seconds, usage, limit)
    _label_phases(axes, scene, seconds[-1])
    _draw_risk(strip, scene, opinions)
    _mark_alarm(axes, strip, scene)
    _style(axes)
    _style(strip)
    axes.yaxis.set_major_locator(plt.MultipleLocator(100))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f}" + (" MiB" if value else ""))
    axes.tick_params(labelbottom=False)
    title = "Where every byte of a Python process is, and whether it leaks"
    figure.text(0.012, 0.952, title, size=19, weight="bold")
    figure.text(
        0.012,
        0.915,
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


def _label_segments(axes: Axes, seconds: Sequence[float], sizes: list[list[float]]) -> None:
    for row, segment in enumerate(SEGMENTS):
        low = [sum(column[:row]) for column in zip(*sizes, strict=True)]
        high = [sum(column[: row + 1]) for column in zip(*sizes, strict=True)]
        for size in LABEL_SIZES:
            length = len(segment) * size / LABEL_SIZES[0]
            index, middle, room = _roomiest(seconds, low, high, length)
            if room > LEAST_LABEL_MEBIBYTES:
                break
        axes.text(
            seconds[index],
            middle,
            segment,
            ha="center",
            va="center",
            size=size,
            weight="bold",
            color=FILLS[segment][1],
        )


def _roomiest(
    seconds: Sequence[float], low: Sequence[float], high: Sequence[float], characters: float
) -> tuple[int, float, float]:
    """Return where a label of that length has the most room: index, middle and room in MiB."""
    reach = round(len(seconds) * characters * CHARACTER_SHARE / 2)
    room = {}
    for index in range(reach, len(seconds) - reach):
        window = slice(index - reach, index + reach + 1)
        floor, ceiling = max(low[window]), min(high[window])
        room[index] = (ceiling - floor, (ceiling + floor) / 2)
    most = max(size for size, _ in room.values())
    best = [index for index, (size, _) in room.items() if size > most - 3]
    index = best[len(best) // 2]
    return index, room[index][1], room[index][0]


def _label_lines(
    axes: Axes, seconds: Sequence[float], usage: Sequence[float], limit: float
) -> None:
    highest = [at for at, value in zip(seconds, usage, strict=True) if value > 0.98 * max(usage)]
    axes.annotate(
        "resident set size",
        ((highest[0] + highest[-1]) / 2, max(usage)),
        (0, 6),
        textcoords="offset points",
        ha="center",
        size=12,
        weight="bold",
    )
    if limit:
        axes.axhline(limit, color=ALARM, linewidth=1.8, linestyle=(0, (6, 4)))
        axes.annotate(
            f"limit {limit:.0f} MiB",
            (seconds[0], limit),
            (8, 6),
            textcoords="offset points",
            color=ALARM,
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
            textwrap.fill(start.phase.label, 10 if start.phase != LEAK else 40),
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


def _draw_risk(strip: Axes, scene: Scene, opinions: Sequence[tuple[float, Opinion]]) -> None:
    points = [
        (export.arrived_at_seconds - scene.began_at_seconds, export.value(RISK_METRIC) or 0.0)
        for export in scene.recording.exports
    ]
    seconds, risks = [at for at, _ in points], [risk for _, risk in points]
    for level, fill in RISK_FILLS.items():
        reached = [risk if risk >= level else math.nan for risk in risks]
        strip.fill_between(seconds, reached, color=fill, linewidth=0)
    strip.plot(seconds, risks, color=INK, linewidth=2.2, solid_joinstyle="round")
    strip.set_ylim(0, 1.1)
    strip.set_yticks([0, SUSPECTED_RISK, CONFIRMED_RISK], ["0", "0.5", "0.9"])
    strip.set_ylabel("leak risk", color=INK, size=12, weight="bold", labelpad=8)
    for level, state in ((SUSPECTED_RISK, "suspected"), (CONFIRMED_RISK, "confirmed")):
        strip.annotate(
            state,
            (1, level),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            size=10,
            color=FAINT,
        )
    _quote(strip, scene, opinions)


def _quote(strip: Axes, scene: Scene, opinions: Sequence[tuple[float, Opinion]]) -> None:
    """Write why the detector was quiet, where it said so."""
    starts = [start.at_seconds - scene.began_at_seconds for start in scene.starts]
    quoted: set[str] = set()
    # The session table, the reports, and the leak up to its alarm.
    for begin, end in (
        (starts[1], starts[3]),
        (starts[3], starts[7]),
        (starts[7], _alarm(scene)[0]),
    ):
        said = [
            opinion.reason
            for at_seconds, opinion in opinions
            if begin < at_seconds < end
            and " grew, but " in opinion.reason
            and opinion.reason not in quoted
        ]
        if not said:
            continue
        quoted.add(reason := max(set(said), key=said.count))
        width = round((end - begin) / scene.total_seconds / CHARACTER_SHARE * 1.45)
        strip.text(
            begin + 0.008 * scene.total_seconds,
            0.6,
            textwrap.fill(f"“{reason}”", width),
            va="center",
            size=9.5,
            style="italic",
            color=FAINT,
            linespacing=1.25,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )


def _alarm(scene: Scene) -> tuple[float, LeakEvent | None]:
    """Return when the leak was confirmed and by what; the end of the run when it was not."""
    event = confirmation(scene)
    if event is None:
        return scene.elapsed_seconds, None
    return event.arrived_at_seconds - scene.began_at_seconds, event


def _mark_alarm(axes: Axes, strip: Axes, scene: Scene) -> None:
    at_seconds, event = _alarm(scene)
    if event is None:
        return
    for each in (axes, strip):
        each.axvline(at_seconds, color=ALARM, linewidth=1.6)
    pace = mebibytes(event.growth_bytes_per_second)
    left = duration(event.time_to_exhaustion_seconds or 0.0)
    axes.annotate(
        f"leak confirmed\n{event.segment} grows by {pace} MiB/s,\nlimit reached in {left}",
        (at_seconds, 0.56 * axes.get_ylim()[1]),
        (9, 0),
        textcoords="offset points",
        va="bottom",
        size=11.5,
        weight="bold",
        color=ALARM,
        linespacing=1.3,
    )


def _style(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=FAINT, length=0)
    axes.set_axisbelow(False)
    axes.yaxis.grid(visible=True, color="black", alpha=0.10, linewidth=0.8)
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
    draw(scene, camera.opinions, IMAGES / "segments.png")
    print(f"wrote {IMAGES / 'segments.png'}")
    if options.screen:
        camera.save(IMAGES / "demo.svg")
        print(f"wrote {IMAGES / 'demo.svg'}")


if __name__ == "__main__":
    main()
