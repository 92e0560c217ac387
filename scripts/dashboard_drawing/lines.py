"""Draws series over time, as lines or one upon the other."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from matplotlib.ticker import Locator, MaxNLocator, MultipleLocator
from scripts.dashboard_drawing.style import BORDER, FAINT, LINES, NAMED, unit_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from tests.grafana import Board, Panel, Series

LEGEND_CHARACTERS: Final = 13
MOST_TICKS: Final = 5
BYTE_STEPS: Final = (1, 2, 5, 10, 25, 50, 100, 200, 500)
TIME_STEPS: Final = (1, 5, 15, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400)


def draw_lines(
    figure: Figure, box: tuple[float, float, float, float], board: Board, panel: Panel
) -> None:
    """Draw a panel of lines, with its axes and its legend below."""
    named = _named(board, panel)
    width, height = figure.get_size_inches()
    columns = _columns_of_legend(box[2] * width, named)
    below = (0.36 + 0.185 * math.ceil(len(named) / columns)) / height
    axes = figure.add_axes(
        (box[0] + 0.72 / width, box[1] + below, box[2] - 0.85 / width, box[3] - below)
    )
    axes.set_xlim(0, board.span.seconds)
    _draw_series(axes, board, panel, named)
    _style(axes, panel)
    _mark_levels(axes, panel)
    _mark_states(axes, board, panel)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(box[0] + 0.06 / width, box[1] + below - 0.24 / height),
        bbox_transform=figure.transFigure,
        ncols=columns,
        frameon=False,
        fontsize=8,
        borderaxespad=0,
        borderpad=0,
        handlelength=1.1,
        handletextpad=0.4,
        columnspacing=1.0,
        labelspacing=0.3,
    )


def _columns_of_legend(inches: float, names: Collection[str]) -> int:
    longest = max(map(len, names), default=1) + 5
    return max(int(inches * LEGEND_CHARACTERS / longest), 1)


def _style(axes: Axes, panel: Panel) -> None:
    defaults, unit = panel.definition["fieldConfig"]["defaults"], unit_of(panel)
    top = defaults.get("max") or max(axes.get_ylim()[1], defaults["custom"].get("axisSoftMax") or 0)
    axes.set_ylim(0, 1.04 * top)
    axes.yaxis.set_major_locator(_ticks(defaults["unit"], top))
    axes.yaxis.set_major_formatter(lambda value, _: unit(value) if value else "0")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} s")
    axes.tick_params(colors=FAINT, length=0, labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(BORDER)
    axes.yaxis.grid(visible=True, color="black", alpha=0.1, linewidth=0.7)


def _named(board: Board, panel: Panel) -> dict[str, tuple[str, Series]]:
    """Return the series by the name in their legend, with the query that each is of."""
    found = {}
    for target in panel.targets():
        for series in board.ask(target, panel.scope):
            labels = series["metric"]
            name = re.sub(
                r"\{\{(\w+)\}\}",
                lambda match, labels=labels: labels.get(match[1], ""),  # type: ignore[misc]
                target["legendFormat"],
            )
            found[name.strip()] = (target["refId"], series)
    return found


def _draw_series(
    axes: Axes, board: Board, panel: Panel, named: Mapping[str, tuple[str, Series]]
) -> None:
    custom = panel.definition["fieldConfig"]["defaults"]["custom"]
    is_stacked = custom.get("stacking", {}).get("mode") == "normal"
    begin, step = board.span.begin, board.span.step_seconds
    moments = [number * step for number in range(int((board.span.end - begin) / step) + 1)]
    floor = [0.0] * len(moments)
    colours = _colours(panel, list(named))
    for name, (ref, series) in named.items():
        known = {round((float(at) - begin) / step): float(value) for at, value in series["values"]}
        values = [known.get(number, math.nan) for number in range(len(moments))]
        own = _properties(panel, "byFrameRefID", ref)
        if is_stacked and "custom.stacking" not in own:
            ceiling = [
                low + (0.0 if math.isnan(value) else value)
                for low, value in zip(floor, values, strict=True)
            ]
            axes.fill_between(
                moments,
                floor,
                ceiling,
                where=[not math.isnan(value) for value in values],
                color=colours[name],
                alpha=custom["fillOpacity"] / 100 + 0.15,
                linewidth=0,
                label=name,
            )
            floor = ceiling
            continue
        dash = own.get("custom.lineStyle", {}).get("dash")
        style: Any = (0, tuple(part / 2 for part in dash)) if dash else "-"
        axes.plot(moments, values, color=colours[name], linewidth=1.7, linestyle=style, label=name)


def _colours(panel: Panel, names: Sequence[str]) -> dict[str, str]:
    found = {}
    for number, name in enumerate(names):
        fixed = _properties(panel, "byName", name).get("color")
        if fixed is None and name == "limit":
            fixed = _properties(panel, "byFrameRefID", "B").get("color")
        own = fixed["fixedColor"] if fixed else LINES[number % len(LINES)]
        found[name] = NAMED.get(own, own)
    return found


def _properties(panel: Panel, matcher: str, options: str) -> dict[str, Any]:
    """Return the panel's overrides for a series."""
    return {
        each["id"]: each["value"]
        for override in panel.definition["fieldConfig"]["overrides"]
        if override["matcher"] == {"id": matcher, "options": options}
        for each in override["properties"]
    }


def _mark_levels(axes: Axes, panel: Panel) -> None:
    defaults = panel.definition["fieldConfig"]["defaults"]
    if "thresholdsStyle" not in defaults["custom"]:
        return
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is not None:
            style = (0, (5, 4))
            axes.axhline(step["value"], color=NAMED[step["color"]], linewidth=1, linestyle=style)


def _mark_states(axes: Axes, board: Board, panel: Panel) -> None:
    """Shade the annotations of this panel, from where a state begins to where it ends."""
    of_this = [
        each
        for each in board.json["annotations"]["list"]
        if each["enable"] and panel.definition["id"] in each["filter"]["ids"]
    ]
    found = board.annotations() if of_this else {}
    for each in of_this:
        colour = NAMED[each["iconColor"]]
        for series in found[each["name"]]:
            moments = [float(at) - board.span.begin for at, _ in series["values"]]
            for first, last in _runs(moments, 2 * board.span.interval_seconds):
                axes.axvspan(first, last, color=colour, alpha=0.06, linewidth=0)
                axes.axvline(first, color=colour, linewidth=0.8, linestyle=(0, (1, 2)))


def _runs(moments: Sequence[float], longest_gap: float) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for at in moments:
        if found and at - found[-1][1] <= longest_gap:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found


def _ticks(unit: str, top: float) -> Locator:
    """Return ticks at round numbers of KiB, MiB and GiB, or of seconds, minutes and hours."""
    if unit == "s":
        steps: Sequence[int] = TIME_STEPS
    elif unit in ("bytes", "binBps"):
        steps = tuple(1024**power * size for power in range(4) for size in BYTE_STEPS)
    else:
        return MaxNLocator(MOST_TICKS, integer=unit == "short")
    return MultipleLocator(next((step for step in steps if top / step <= MOST_TICKS), top))
