"""What is wrong with an input, said so that it can be put right."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, field
from typing import Final

_LONGEST_TEXT: Final = 240
_QUOTES: Final = reprlib.Repr()
_QUOTES.maxstring = _QUOTES.maxother = 80
# What one input can fill the screen with; the rest is counted.
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that was found where something else was expected.

    Attributes:
        line: Counted from 1; None when it is not about one line.
        column: The column's name, a JSON path, or a character's position.
    """

    found: str
    expected: str
    line: int | None = None
    column: str | None = None

    def text(self, name: str) -> str:
        """Return it in one line, beginning with the input's name."""
        where = printable(name) if self.line is None else f"{printable(name)}:{self.line}"
        column = "" if self.column is None else f"column {self.column}: "
        return f"{where}: {column}found {self.found}, expected {self.expected}"


class InputError(Exception):
    """An input, or what is left of it, cannot be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text("input"))
        self.problem = problem


@dataclass(slots=True)
class Problems:
    """What was wrong with one input; bounded, however much that is.

    Attributes:
        count: Everything malformed; each was left out.
        missing: Moments whose resident set is unknown. No mistake, but nothing to judge either.
        late: Values that arrived after newer ones of the same series had been judged.
        foreign: Series that were left out because others are known to be the process's memory.
    """

    count: int = 0
    missing: int = 0
    late: int = 0
    foreign: int = 0
    _first: list[Problem] = field(default_factory=list)
    _end: Problem | None = None

    def add(self, problem: Problem) -> None:
        """Keep one more."""
        self.count += 1
        if len(self._first) < _SHOWN:
            self._first.append(problem)

    def end(self, problem: Problem) -> None:
        """Keep the one that ended the reading."""
        self.count += 1
        self._end = problem

    def lines(self, name: str) -> list[str]:
        """Return what to tell the user: problems first, then what was left out for good reason."""
        lines = [problem.text(name) for problem in self._first]
        name = printable(name)
        more = self.count - len(self._first) - (self._end is not None)
        if more:
            lines.append(f"{name}: and {more} more of this kind")
        if self._end is not None:
            lines.append(self._end.text(name))
        for count, what in (
            (self.missing, "moments without a resident set size"),
            (self.late, "values that came after newer ones of the same series"),
            (self.foreign, "series that are not memory of a process"),
        ):
            if count:
                lines.append(f"{name}: note: left out {what}: {count}")
        return lines


def quoted(value: object) -> str:
    """Return anything found in an input, short and safe to print."""
    return printable(_QUOTES.repr(value))


def printable(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Return text without anything that a terminal would obey, and not too much of it."""
    shown = text[:longest] + ("…" if len(text) > longest else "")
    if shown.isprintable():
        return shown
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown
    )
