"""Draws one panel of a dashboard in its frame: a figure, a table, or lines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from matplotlib.patches import FancyBboxPatch
from scripts.dashboard_drawing.lines import draw_lines
from scripts.dashboard_drawing.style import BORDER, FAINT, INK, NAMED, UNITS, unit_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from tests.grafana import Board, Panel

    Box = tuple[float, float, float, float]

PADDING_INCHES: Final = 0.1


def draw_panel(figure: Figure, box: Box, board: Board, panel: Panel) -> None:
    """Draw a panel with its frame and title.

    Args:
        figure: To draw on.
        box: Left, bottom, width and height, as shares of the figure.
        board: Answers the panel's queries.
        panel: What is drawn.
    """
    width, height = figure.get_size_inches()
    left, bottom = box[0] + 0.5 * PADDING_INCHES / width, box[1] + 0.5 * PADDING_INCHES / height
    wide, high = box[2] - PADDING_INCHES / width, box[3] - PADDING_INCHES / height
    frame = FancyBboxPatch(
        (left, bottom), wide, high, boxstyle="square,pad=0", fill=False, edgecolor=BORDER
    )
    figure.add_artist(frame)
    figure.text(
        left + 0.09 / width,
        bottom + high - 0.13 / height,
        panel.title,
        size=10.5,
        weight="bold",
        va="top",
        color=INK,
    )
    inside = (left, bottom, wide, high - 0.33 / height)
    kind = panel.definition["type"]
    {"stat": _figure, "table": _table, "timeseries": draw_lines}[kind](figure, inside, board, panel)


# --- a figure ------------------------------------------------------------------------------


def _figure(figure: Figure, box: Box, board: Board, panel: Panel) -> None:
    (target,) = panel.targets()
    defaults = panel.definition["fieldConfig"]["defaults"]
    found = [float(series["value"][1]) for series in board.ask(target, panel.scope)]
    shown = unit_of(panel)(found[0]) if found else defaults.get("noValue", "no data")
    colour = INK
    for step in defaults.get("thresholds", {}).get("steps", []):
        if found and (step["value"] is None or found[0] >= step["value"]):
            colour = NAMED[step["color"]]
    figure.text(
        box[0] + box[2] / 2,
        box[1] + box[3] / 2,
        shown,
        size=22,
        weight="bold",
        ha="center",
        va="center",
        color=colour,
    )


# --- a table -------------------------------------------------------------------------------


def _table(figure: Figure, box: Box, board: Board, panel: Panel) -> None:
    headings, rows = _cells(board, panel)
    figure_width, figure_height = figure.get_size_inches()
    lengths = [
        max(len(row[index]) for row in [headings, *rows]) + 2 for index in range(len(headings))
    ]
    total = sum(lengths)
    line = min(0.25 / figure_height, box[3] / (len(rows) + 1.2))
    for number, row in enumerate([headings, *rows]):
        at = box[0] + 0.09 / figure_width
        for cell, length in zip(row, lengths, strict=True):
            figure.text(
                at,
                box[1] + box[3] - (number + 0.6) * line,
                cell,
                size=9.5,
                va="center",
                color=FAINT if number == 0 else INK,
            )
            at += (box[2] - 0.18 / figure_width) * length / total


def _cells(board: Board, panel: Panel) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows, merged and named as the panel's transformations say."""
    organize = next(
        each["options"] for each in panel.definition["transformations"] if each["id"] == "organize"
    )
    places = organize["indexByName"]
    names = {name: organize["renameByName"][name] for name in sorted(places, key=places.get)}
    units = {
        override["matcher"]["options"]: UNITS[each["value"]]
        for override in panel.definition["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "unit"
    }
    merged: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for target in panel.targets():
        for series in board.ask(target, panel.scope):
            row = merged.setdefault(tuple(sorted(series["metric"].items())), {})
            row[names[f"Value #{target['refId']}"]] = float(series["value"][1])
    labels = [name for name in names if any(name in dict(key) for key in merged)]
    values = [heading for name, heading in names.items() if name.startswith("Value #")]
    order = (panel.definition.get("options") or {}).get("sortBy") or [
        {"displayName": None, "desc": False}
    ]

    def place(row: tuple[tuple[tuple[str, str], ...], dict[str, float]]) -> Any:
        key = order[0]["displayName"]
        return (
            (row[1].get(key, math.inf),) if key else [dict(row[0]).get(each, "") for each in labels]
        )

    rows = [
        [dict(key).get(name, "") for name in labels]
        + [units[heading](cells[heading]) if heading in cells else "" for heading in values]
        for key, cells in sorted(merged.items(), key=place)
    ]
    return [names[name] for name in labels] + values, rows
