"""How many there were, where only some were seen. Numbers in, numbers out."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_WINDOW: Final = 31
_LEAST_DISPERSION: Final = 0.3


def expected_counts(
    seen: Sequence[Sequence[float]], probability: float
) -> tuple[list[list[float]], float]:
    """Return the expected true counts, and how wrong their ups and downs may be, as a share.

    To divide by the probability would blow up the chance of being seen as well, and regression
    would take that for traffic: estimates would come out far too small. So a count is expected at
    the mean, and departs from it by what was seen beyond that times the part of it which is traffic
    (regression calibration; Carroll and others: Measurement Error in Nonlinear Models, 2006): once
    for the neighbours' mean beside the mean of all, and once for the count beside its neighbours.
    That part comes from the dispersion of all columns together.
    """
    total = math.fsum(math.fsum(column) for column in seen)
    if probability >= 1 or total == 0:
        return [list(column) for column in seen], 0.0
    means = [_moving_mean(column) for column in seen]
    averages = [math.fsum(column) / len(column) for column in seen]
    tides = math.fsum(
        (mean - average) ** 2
        for column, average in zip(means, averages, strict=True)
        for mean in column
    )
    ripples = math.fsum(
        (value - mean) ** 2
        for column, middle in zip(seen, means, strict=True)
        for value, mean in zip(column, middle, strict=True)
    )
    scatter = ripples / total * _WINDOW / (_WINDOW - 1)
    slow, _ = _part_of_traffic(tides / total * _WINDOW, probability)
    fast, dispersion = _part_of_traffic(scatter, probability)
    cells = len(seen) * len(seen[0])
    error = math.sqrt(2 / cells) * max(scatter, 1.0) / probability / dispersion
    return [
        [
            average / probability + slow * (mean - average) + fast * (value - mean)
            for value, mean in zip(column, middle, strict=True)
        ]
        for column, middle, average in zip(seen, means, averages, strict=True)
    ], error


def _part_of_traffic(scatter: float, probability: float) -> tuple[float, float]:
    """Return what one seen beyond the mean stands for, and the dispersion of the traffic."""
    dispersion = max(1 + (scatter - 1) / probability, _LEAST_DISPERSION)
    return dispersion / (1 + probability * (dispersion - 1)), dispersion


def _moving_mean(column: Sequence[float]) -> list[float]:
    sums = [0.0, *accumulate(column)]
    last, reach = len(column), _WINDOW // 2
    bounds = ((max(index - reach, 0), min(index + reach + 1, last)) for index in range(last))
    return [(sums[end] - sums[begin]) / (end - begin) for begin, end in bounds]
