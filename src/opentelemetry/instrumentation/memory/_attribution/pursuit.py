"""Chooses, of many columns, the ones that explain growth best. Numbers in, numbers out.

Orthogonal matching pursuit (Chen, Billings, Luo: Orthogonal Least Squares Methods, 1989): what
explains most is chosen first, and the others are then judged by what they explain beside it. It
ends where the next one explains no more than Schwarz's criterion takes for it: columns that fit
noise alone would make all the others less certain.
"""

from __future__ import annotations

import math
from operator import mul
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._attribution.least_squares import filtered
from opentelemetry.instrumentation.memory._attribution.regression import allowed_for, settled

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from opentelemetry.instrumentation.memory._attribution.regression import Watch

    Column = Sequence[float]

# A column of which no more than this part of its square is left is a mixture of the others.
_LEAST_LEFT: Final = 1e-4
_PRODUCTS_A_STEP: Final = 100  # about two milliseconds with 600 intervals


def pursued(watch: Watch, most: int) -> Generator[None, None, list[int]]:
    """Return the places of the counts that explain growth best, the best of all first.

    Only what growth goes up with is chosen, since nothing that is counted gives memory back.

    Args:
        watch: What happened, with all of the counts.
        most: How many are chosen, at most.
    """
    if not watch.growth:
        return []
    growth = watch.growth
    unit = math.sqrt(math.fsum(value * value for value in growth)) or 1.0
    allowed = allowed_for(watch)
    model, cut = yield from settled(allowed, [value / unit for value in growth])
    rest = _Rest([filtered(column, model.passing_part) for column in watch.counts])
    yield from rest.begin(filtered(cut, model.passing_part))
    for column in allowed:
        yield from rest.explain(filtered(column, model.passing_part))
    chosen: list[int] = []
    while len(chosen) < most:
        best = rest.best()
        if best is None:
            return chosen
        chosen.append(best)
        yield from rest.explain(rest.columns[best])
    return chosen


class _Rest:
    """What is left of columns and of growth beside all that was explained so far.

    Only the products are kept up to date: that takes one product a column and step, and no copy.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns
        self._directions: list[list[float]] = []
        self._squares: list[float] = []
        self._left: list[float] = []
        self._with_growth: list[float] = []
        self._growth: Column = ()
        self._growth_left = 0.0

    def begin(self, growth: Column) -> Generator[None, None, None]:
        """Compare every column with growth."""
        for number, column in enumerate(self.columns):
            self._squares.append(_dot(column, column))
            self._with_growth.append(_dot(column, growth))
            if number % _PRODUCTS_A_STEP == 0:
                yield
        self._left = list(self._squares)
        self._growth = growth
        self._growth_left = _dot(growth, growth)

    def explain(self, column: Column) -> Generator[None, None, None]:
        """Take off everything what goes along with this column."""
        own = list(column)
        for direction in self._directions:
            along = _dot(own, direction)
            own = [value - along * each for value, each in zip(own, direction, strict=True)]
        yield
        square, whole = _dot(own, own), _dot(column, column)
        if square <= _LEAST_LEFT * whole:
            return
        size = math.sqrt(square)
        direction = [value / size for value in own]
        self._directions.append(direction)
        growth = _dot(direction, self._growth)
        self._growth_left -= growth * growth
        for place, each in enumerate(self.columns):
            along = _dot(direction, each)
            self._left[place] -= along * along
            self._with_growth[place] -= along * growth
            if place % _PRODUCTS_A_STEP == 0:
                yield

    def best(self) -> int | None:
        """Return the place of the column that explains most of what is left, if it is enough."""
        gains = {
            place: product * product / left
            for place, (product, left) in enumerate(zip(self._with_growth, self._left, strict=True))
            if product > 0 and left > _LEAST_LEFT * self._squares[place]
        }
        best = max(gains, key=gains.__getitem__, default=None)
        intervals = len(self._growth)
        freedom = max(intervals - len(self._directions), 1)
        cost = math.log(intervals) * max(self._growth_left, 0.0) / freedom
        return best if best is not None and gains[best] > cost else None


def _dot(left: Column, right: Column) -> float:
    return float(sum(map(mul, left, right)))
