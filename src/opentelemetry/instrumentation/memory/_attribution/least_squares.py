"""Least squares for noise of which a part stays and a part passes, with its long-run variance."""

from __future__ import annotations

import math
import sys
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._attribution.linear import Matrix, inverse, times

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    Column = Sequence[float]

_MOST_FREEDOM: Final = 24
# Rounding leaves about so much of a sum of squares that is explained in full.
_LEAST_LEFT: Final = 1e-12
# How much more uncertain other columns may make a weight; a variance, so a thousandfold.
_MOST_INFLATION: Final = 1e6
# How much is done between two yields; a few milliseconds with 600 intervals.
_PRODUCTS_A_STEP: Final = 200


class Model:
    """Growth as a weighted sum of columns, all of them filtered.

    Args:
        columns: What may explain growth.
        passing_part: How much of the noise passes: 0 when all of it stays (errors of growth are
            independent), near 1 when all of it passes (errors of the level are).
    """

    def __init__(self, columns: Sequence[Column], passing_part: float) -> None:
        self.passing_part = passing_part
        self._columns = list(columns)
        self._filtered = [filtered(column, passing_part) for column in columns]
        if passing_part > 0:
            # The level at the beginning is as uncertain as any other, and is forgotten as fast.
            intervals = len(columns[0])
            start = accumulate([passing_part] * (intervals - 1), mul, initial=1.0)
            self._columns.append([0.0] * intervals)
            self._filtered.append(list(start))
        self.moments: Matrix = []
        self._inverse: Matrix = []
        self.projections: list[float] = []
        self.solution: list[float] = []

    def prepare(self) -> Generator[None, None, None]:
        """Do what depends on the columns alone."""
        known = len(self.moments)
        for column in self._filtered[known:]:
            products = [_dot(column, each) for each in self._filtered[: len(self.moments) + 1]]
            for row, product in zip(self.moments, products, strict=False):
                row.append(product)
            self.moments.append(products)
            known += 1
            if len(self.moments) % (_PRODUCTS_A_STEP // len(self._filtered) + 1) == 0:
                yield
        yield
        self._inverse = inverse(self.moments)
        yield

    def is_mixture(self, place: int) -> bool:
        """Tell whether a column is a mixture of others, so that its weight may be any."""
        return self._inverse[place][place] * self.moments[place][place] > _MOST_INFLATION

    def beside(self, more: Sequence[Column]) -> Model:
        """Return the same model with further columns behind its own; it is not prepared yet."""
        wider = Model(more, 0.0)
        wider.passing_part = self.passing_part
        wider._columns = [*self._columns, *more]
        wider._filtered = [
            *self._filtered,
            *(filtered(column, self.passing_part) for column in more),
        ]
        wider.moments = [list(row) for row in self.moments]
        return wider

    def solve(self, growth: Column) -> None:
        """Find the weights of the columns that fit this growth best."""
        target = filtered(growth, self.passing_part)
        self.projections = [_dot(column, target) for column in self._filtered]
        self.solution = times(self._inverse, self.projections)

    def unexplained(self, growth: Column, places: Sequence[int]) -> float:
        """Return the sum of squares that the columns at these places alone leave; above zero."""
        moments = [[self.moments[row][column] for column in places] for row in places]
        projections = [self.projections[place] for place in places]
        target = filtered(growth, self.passing_part)
        total = _dot(target, target)
        explained = _dot(times(inverse(moments), projections), projections)
        return max(total - explained, _LEAST_LEFT * total, sys.float_info.min)

    def errors(self, growth: Column) -> list[float]:
        """Return what the weighted columns leave unexplained of the growth, not filtered."""
        return _remainder(growth, self._columns, self.solution)

    def deviations(self, growth: Column) -> Generator[None, None, tuple[list[float], int]]:
        """Return the standard deviation of each weight, and the degrees of freedom behind it."""
        target = filtered(growth, self.passing_part)
        errors = _remainder(target, self._filtered, self.solution)
        scores = [list(map(mul, column, errors)) for column in self._filtered]
        intervals, size = len(errors), len(scores)
        yield
        freedom = max(min(round(0.4 * intervals ** (2 / 3)), _MOST_FREEDOM), 4)
        variances = [0.0] * size
        for frequency in range(1, freedom + 1):
            step = math.pi * frequency / intervals
            wave = [math.cos(step * (index + 0.5)) for index in range(intervals)]
            effects = times(self._inverse, [_dot(wave, score) for score in scores])
            variances = [
                variance + effect * effect
                for variance, effect in zip(variances, effects, strict=True)
            ]
            if frequency % (_PRODUCTS_A_STEP // size + 1) == 0:
                yield
        # Errors come out smaller by what the weights have adapted to them.
        correction = 2 / freedom * intervals / max(intervals - size, 1)
        return [math.sqrt(correction * each) for each in variances], freedom


def filtered(column: Column, passing_part: float) -> list[float]:
    """Return the column such that errors that partly pass become independent."""
    if passing_part == 0:
        return list(column)
    return list(accumulate(column, lambda level, value: level * passing_part + value))


def _dot(left: Column, right: Column) -> float:
    return float(sum(map(mul, left, right)))


def _remainder(target: Column, columns: Sequence[Column], weights: Sequence[float]) -> list[float]:
    rest = list(target)
    for column, weight in zip(columns, weights, strict=True):
        if weight:
            rest = [each - weight * value for each, value in zip(rest, column, strict=True)]
    return rest
