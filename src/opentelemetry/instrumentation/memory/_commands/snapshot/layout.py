"""Sections of text and columns, plain or with the colours of a terminal."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

_INDENT: Final = "  "
_GAP: Final = "  "
# A column that is narrower than this is no place to go on in.
_NARROWEST: Final = 24
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


def lines(sections: Sequence[Section], width: int | None = None) -> list[list[Cell]]:
    """Return every line as the pieces that it consists of; sections without rows are left out.

    Args:
        sections: What is shown.
        width: Where the last piece of a line goes on in the next; None for lines of any length.
    """
    shown: list[list[Cell]] = []
    for section in sections:
        if not section.rows:
            continue
        if shown:
            shown.append([])
        shown.append([Cell(section.title, "bold")])
        for row in _aligned(section.rows):
            shown.extend([row] if width is None else _wrapped(row, width))
    return shown


def plain(sections: Sequence[Section], width: int | None = None) -> str:
    """Return all of it without colours."""
    shown = ("".join(each.text for each in line) for line in lines(sections, width))
    return "".join(f"{line.rstrip()}\n" for line in shown)


def show(sections: Sequence[Section], output: TextIO | None = None) -> None:
    """Write it: to a terminal in lines of its width, with colours where rich is installed.

    What reads a pipe looks for whole lines.
    """
    output = sys.stdout if output is None else output
    width = shutil.get_terminal_size().columns if output.isatty() else None
    if width is not None and importlib.util.find_spec("rich") is not None:
        _show_rich(sections, output, width)
        return
    text = plain(sections, width)
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


def _wrapped(line: list[Cell], width: int) -> list[list[Cell]]:
    """Return a line as several, the last piece going on below itself."""
    *before, last = line
    indent = sum(len(each.text) for each in before)
    if indent + len(last.text) <= width:
        return [line]
    longest_word = max(map(len, last.text.split()), default=0)
    hanging = indent if width - indent >= max(_NARROWEST, longest_word) else 2 * len(_INDENT)
    # No word is broken, for people copy paths; one that does not fit behind its name begins a line.
    is_behind = indent + len(last.text.split(maxsplit=1)[0]) <= width
    pieces = textwrap.wrap(
        last.text,
        width,
        initial_indent=" " * (indent if is_behind else hanging),
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    first = [*before, Cell(pieces[0][indent:], last.style)] if is_behind else before
    rest = pieces[1:] if is_behind else pieces
    return [first, *([Cell(each, last.style)] for each in rest)]


def _show_rich(sections: Sequence[Section], output: TextIO, width: int) -> None:
    # Only a terminal needs it, and it need not be installed.
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=output)
    for line in lines(sections, width):
        text = Text()
        for cell in line:
            text.append(cell.text, cell.style or None)
        text.rstrip()
        options: dict[str, Any] = {"soft_wrap": True, "highlight": False}
        console.print(text, **options)
