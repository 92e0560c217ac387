"""Sections of text and columns, plain or with the colours of a terminal."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

_INDENT: Final = "  "
_GAP: Final = "  "
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_FLAT: Final = 0.01


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of a line.

    Attributes:
        style: In the words of rich; plain text has none.
        is_number: Whether it stands to the right of its column.
    """

    text: str
    style: str = ""
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A title, and rows below it in columns; a row of one cell is a line of its own."""

    title: str
    rows: Sequence[Sequence[Cell]]


def number(text: str, style: str = "") -> Cell:
    """Return a cell that stands to the right."""
    return Cell(text, style, is_number=True)


def lines(sections: Sequence[Section]) -> list[list[Cell]]:
    """Return every line as the pieces that it consists of; sections without rows are left out."""
    shown: list[list[Cell]] = []
    for section in sections:
        if not section.rows:
            continue
        if shown:
            shown.append([])
        shown.append([Cell(section.title, "bold")])
        shown.extend(_aligned(section.rows))
    return shown


def plain(sections: Sequence[Section]) -> str:
    """Return all of it without colours."""
    return "".join("".join(each.text for each in line).rstrip() + "\n" for line in lines(sections))


def show(sections: Sequence[Section], output: TextIO | None = None) -> None:
    """Write it: with colours to a terminal, where the library for that is installed."""
    output = sys.stdout if output is None else output
    if output.isatty() and importlib.util.find_spec("rich") is not None:
        _show_rich(sections, output)
        return
    text = plain(sections)
    # A terminal that knows no bars still shows the numbers.
    encoding = output.encoding or "utf-8"
    output.write(text.encode(encoding, "replace").decode(encoding))


def sparkline(values: Sequence[float | None]) -> str:
    """Return a small chart between its lowest and its highest value; unknown values are blank.

    What changes by less than a hundredth is flat.
    """
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    scale = (len(_SPARKS) - 1) / (high - low) if high - low > _FLAT * high else 0.0
    return "".join(" " if each is None else _SPARKS[round((each - low) * scale)] for each in values)


def _aligned(rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    columns = max(len(row) for row in rows)
    widths = [
        max((len(row[index].text) for row in rows if 1 < len(row) > index), default=0)
        for index in range(columns)
    ]
    return [[Cell(_INDENT), *_row(row, widths)] for row in rows]


def _row(row: Sequence[Cell], widths: Sequence[int]) -> list[Cell]:
    if len(row) == 1:
        return list(row)
    padded = []
    for index, (cell, width) in enumerate(zip(row, widths, strict=False)):
        is_last = index == len(row) - 1
        text = cell.text.rjust(width) if cell.is_number else cell.text.ljust(width)
        padded.append(Cell(text if is_last else text + _GAP, cell.style))
    return padded


def _show_rich(sections: Sequence[Section], output: TextIO) -> None:
    # Only a terminal needs it, and it need not be installed.
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=output)
    for line in lines(sections):
        text = Text()
        for cell in line:
            text.append(cell.text, cell.style or None)
        text.rstrip()
        options: dict[str, Any] = {"soft_wrap": True, "highlight": False}
        console.print(text, **options)
