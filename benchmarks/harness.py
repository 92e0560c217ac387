"""How everything here is measured: fresh processes, medians of batches, one kind of result line."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MICRO = 1e6
MILLI = 1e3
PERCENT = 100.0
MEBIBYTES = 2.0**-20


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: `processes` for short cases, `rounds` for long ones."""

    processes: int
    rounds: int
    quiet_seconds: float
    flat_samples: int

    @property
    def is_full(self) -> bool:
        """Tell whether the figures may be published."""
        return self == FULL


FULL = Effort(processes=5, rounds=3, quiet_seconds=60.0, flat_samples=1_000_000)
QUICK = Effort(processes=2, rounds=1, quiet_seconds=12.0, flat_samples=50_000)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the results: a value from each process, and the bar that their median must keep.

    `bar` is in the same unit, and an upper bound; None where nothing is promised.
    """

    what: str
    values: Sequence[float]
    unit: str
    bar: float | None = None
    note: str = ""

    @property
    def median(self) -> float | None:
        """Return the median over processes, or None for a line that could not be measured."""
        return statistics.median(self.values) if self.values else None

    @property
    def verdict(self) -> str:
        """Return `pass`, `FAIL`, or nothing without a bar."""
        if self.bar is None or self.median is None:
            return ""
        return "pass" if self.median <= self.bar else "**FAIL**"

    def cells(self) -> tuple[str, ...]:
        """Return the row's cells: what, median, spread, count, bar, verdict."""
        if self.median is None:
            return (self.what, f"not measured: {self.note}", "", "", "", "")
        return (
            f"{self.what} ({self.note})" if self.note else self.what,
            _quantity(self.median, self.unit),
            f"{_number(min(self.values))} to {_number(max(self.values))}",
            str(len(self.values)),
            "" if self.bar is None else f"≤ {_quantity(self.bar, self.unit)}",
            self.verdict,
        )


def seconds_per_call(
    function: Callable[[], object], *, batch_seconds: float = 0.01, batches: int = 21
) -> float:
    """Return what one call takes in wall time: the median of batches in this process, warm."""
    calls = 1
    while (taken := _seconds(function, calls)) < batch_seconds and calls < 2**20:
        calls *= 2
    if calls == 1 and taken > 10 * batch_seconds:
        batches = 5
    return statistics.median(_seconds(function, calls) / calls for _ in range(batches))


class Task:
    """A function that runs in a fresh interpreter; its module is imported there, nothing else."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        name = Path(sys.modules[function.__module__].__file__ or "").stem
        self._process = subprocess.Popen(
            [sys.executable, __file__, name, function.__name__, json.dumps(arguments)],
            stdout=subprocess.PIPE,
            text=True,
        )

    def result(self) -> Any:
        """Wait for the process and return what the function returned, by way of JSON."""
        output, _ = self._process.communicate()
        if self._process.returncode != 0:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.returncode}")
        return json.loads(output.splitlines()[-1])


def fresh(function: Callable[..., Any], *arguments: object) -> Any:
    """Return the function's result from a process of its own."""
    return Task(function, *arguments).result()


def column(results: Sequence[dict[str, float]], key: str, factor: float = 1.0) -> list[float]:
    """Return one value of each process, scaled."""
    return [result[key] * factor for result in results]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the ratio of each pair: of processes that ran one after the other, or together."""
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def _seconds(function: Callable[[], object], calls: int) -> float:
    repeat = range(calls)
    started = time.perf_counter()
    for _ in repeat:
        function()
    return time.perf_counter() - started


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.2g}".rstrip(".")


def _quantity(value: float, unit: str) -> str:
    return f"{_number(value)} {unit}".rstrip()


if __name__ == "__main__":
    module, task, serialized = sys.argv[1:]
    print(json.dumps(getattr(import_module(module), task)(*json.loads(serialized))))
