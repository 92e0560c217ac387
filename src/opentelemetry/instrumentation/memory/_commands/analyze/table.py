"""The outcomes for a person: a table, and a line that sums up."""

from __future__ import annotations

import importlib.util
import sys
from typing import IO, TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.analyze.figures import HEADINGS, row
from opentelemetry.instrumentation.memory._commands.analyze.problems import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.instrumentation.memory._commands.analyze.analysis import InputOutcome

# On a narrower terminal these columns stand below the table.
_WIDE: Final = 150
_BELOW: Final = frozenset({"state", "max risk", "reason"})
_SHORTEST_NAME: Final = 12
_NUMBERS: Final = frozenset({"max risk", "growth", "limit in"})
_STYLES: Final = {"confirmed": "bold red", "suspected": "yellow", "recovered": "cyan"}


def has_rich() -> bool:
    """Tell whether the library for terminals is installed."""
    return importlib.util.find_spec("rich") is not None


def show(outcomes: Sequence[InputOutcome]) -> None:
    """Print the table; with several series also the summary."""
    rows = rows_of(outcomes)
    if rows and sys.stdout.isatty() and has_rich():
        _show_rich(rows)
    elif rows:
        show_plain(rows, sys.stdout)
    if len(rows) > 1 or len(outcomes) > 1:
        sys.stdout.write(f"{summary(outcomes)}\n")


def rows_of(outcomes: Sequence[InputOutcome]) -> list[tuple[str, ...]]:
    """Return a row for each series, its name first."""
    return [
        (printable(f"{each.name} {series.series}".rstrip()), *row(series.judgement))
        for each in outcomes
        for series in each.series
    ]


def summary(outcomes: Sequence[InputOutcome]) -> str:
    """Return how many of how many leak."""
    judgements = [series.judgement for each in outcomes for series in each.series]
    leaks = sum(each.leak for each in judgements)
    recovered = sum(bool(each.alarms_seconds) and not each.leak for each in judgements)
    text = f"{leaks} of {len(judgements)} series leak{'s' if leaks == 1 else ''}"
    if recovered:
        text += f", {recovered} did and no longer {'does' if recovered == 1 else 'do'}"
    malformed = sum(bool(each.problems.count) for each in outcomes)
    if malformed:
        text += f"; {malformed} of {len(outcomes)} inputs could not be read completely"
    return text


def show_plain(rows: Sequence[tuple[str, ...]], output: IO[str]) -> None:
    """Write one line a series, in columns that are as wide as need be."""
    table = [("series", *HEADINGS), *rows]
    widths = [max(len(each[index]) for each in table) for index in range(len(table[0]) - 1)]
    for each in table:
        cells = [cell.ljust(width) for cell, width in zip(each, widths, strict=False)]
        output.write("  ".join([*cells, each[-1]]) + "\n")


def _show_rich(rows: Sequence[tuple[str, ...]]) -> None:
    # Only a terminal needs it, and it need not be installed.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    is_wide = console.width >= _WIDE
    headings = ("series", *HEADINGS)
    shown = [each for each in headings if is_wide or each not in _BELOW]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in shown:
        table.add_column(
            heading,
            justify="right" if heading in _NUMBERS else "left",
            no_wrap=heading not in {"series", "reason"},
            overflow="fold",
        )
    room = _room_for_names(rows, shown, console.width)
    for each in rows:
        cells = dict(zip(headings, each, strict=True))
        if not is_wide and len(cells["series"]) > room:
            cells["series"] = "…" + cells["series"][1 - room :]  # a path's end tells more
        style = _STYLES.get(cells["state"], "")
        table.add_row(
            *(Text(cells[name], style if name in {"leak", "state"} else "") for name in shown)
        )
    console.print(table)
    if not is_wide:
        for each in rows:
            cells = dict(zip(headings, each, strict=True))
            below = f"{cells['state']}, risk up to {cells['max risk']}: {cells['reason']}"
            console.print(Text(f"{each[0]}: ", "bold") + Text(below, "not bold"))


def _room_for_names(rows: Sequence[tuple[str, ...]], shown: Sequence[str], width: int) -> int:
    """Return how wide the first column may be for the others to fit; never nothing."""
    headings = ("series", *HEADINGS)
    places = [headings.index(name) for name in shown[1:]]
    others = (max(len(each[place]) for each in (headings, *rows)) + 2 for place in places)
    return max(width - sum(others), _SHORTEST_NAME)
