"""Series as comma-separated values: a header, then one moment a line."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.analyze.problems import (
    InputError,
    Problem,
    Problems,
    printable,
    quoted,
)
from opentelemetry.instrumentation.memory._commands.sample import (
    LARGEST_BYTES,
    SIZE_EXPECTED,
    Labels,
    sample_from_row,
    whole_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.instrumentation.memory.model import MemorySample

COLUMNS: Final = ("time_s", "rss", "heap_used", "heap_committed", "native_used", "limit")
LONGEST_LINE_BYTES: Final = 2**20
_REQUIRED: Final = 2
_HEADER_EXPECTED: Final = (
    f"a header with the columns {', '.join(COLUMNS)}, separated by commas, "
    "of which time_s and rss are required"
)
_LARGEST_DIGITS: Final = len(str(LARGEST_BYTES)) - 1
_NO_LABELS: Final[Labels] = ()


class _MalformedRowError(Exception):
    def __init__(self, found: str, expected: str, column: str | None = None) -> None:
        super().__init__(found, expected, column)
        self.found, self.expected, self.column = found, expected, column


def read_csv(lines: Iterator[str], problems: Problems) -> Iterator[tuple[Labels, MemorySample]]:
    """Yield the samples of one series; malformed rows are put down as problems and left out.

    Raises:
        InputError: There is no header, or it lacks a column that is required.
    """
    reader = csv.reader(lines)
    places, width = _places(_header(reader), reader.line_num)
    last = -math.inf
    while True:
        try:
            for row in reader:
                if not row:
                    continue
                time, sample = _sample(row, places, width, last)
                last = time
                if sample is None:
                    problems.missing += 1
                else:
                    yield _NO_LABELS, sample
        except _MalformedRowError as error:
            problem = Problem(error.found, error.expected, reader.line_num, error.column)
            problems.add(problem)
        except csv.Error as error:
            problem = Problem(str(error), "comma-separated values", reader.line_num)
            problems.add(problem)
        else:
            return


def _header(reader: Iterator[list[str]]) -> list[str]:
    try:
        for row in reader:
            if row:
                return [cell.strip() for cell in row]
    except csv.Error as error:
        raise InputError(Problem(str(error), _HEADER_EXPECTED, 1)) from error
    raise InputError(Problem("nothing", _HEADER_EXPECTED))


def _places(header: list[str], line: int) -> tuple[tuple[int | None, ...], int]:
    """Return where in a row each of `COLUMNS` is, and how many cells a row has."""
    found = printable(",".join(header))
    lacking = [name for name in COLUMNS[:_REQUIRED] if name not in header]
    if lacking:
        raise InputError(Problem(quoted(found), _HEADER_EXPECTED, line, lacking[0]))
    for name in COLUMNS:
        if header.count(name) > 1:
            raise InputError(Problem("it more than once", "each column once", line, name))
    places = tuple(header.index(name) if name in header else None for name in COLUMNS)
    return places, len(header)


def _sample(
    row: list[str], places: tuple[int | None, ...], width: int, last: float
) -> tuple[float, MemorySample | None]:
    if len(row) != width:
        found = f"{len(row)} cell{'s' if len(row) > 1 else ''}"
        raise _MalformedRowError(found, f"{width}, as in the header")
    time = _time(row[places[0] or 0], last)
    rss, *others = [
        None if place is None else _size(row[place], column)
        for place, column in zip(places[1:], COLUMNS[1:], strict=True)
    ]
    return time, None if rss is None else sample_from_row(time, rss, *others)


def _time(cell: str, last: float) -> float:
    try:
        time = float(cell)
    except ValueError:
        time = math.nan
    if not math.isfinite(time) or "_" in cell:
        raise _MalformedRowError(quoted(cell), "seconds", "time_s")
    if time <= last:
        raise _MalformedRowError(quoted(cell), f"more than {last:.15g}, the time before", "time_s")
    return time


def _size(cell: str, column: str) -> int | None:
    if cell.isdigit() and len(cell) <= _LARGEST_DIGITS and cell.isascii():
        return int(cell)
    if not cell or cell.isspace():
        return None
    size = None if "_" in cell else whole_bytes(cell)
    if size is None:
        raise _MalformedRowError(quoted(cell), SIZE_EXPECTED, column)
    return size
