"""Small systems of linear equations, in plain Python."""

from __future__ import annotations

from operator import mul
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

Matrix = list[list[float]]

# A direction with less than this part of its column's size left is one that others explain.
_LEAST_PIVOT: Final = 1e-9


def times(matrix: Matrix, vector: Sequence[float]) -> list[float]:
    """Return the product of a matrix and a vector."""
    return [sum(map(mul, row, vector)) for row in matrix]


def inverse(moments: Matrix) -> Matrix:
    """Return the inverse of a symmetric matrix that should be positive definite.

    Where one direction is a mixture of others, or has nothing in it, the inverse is very large,
    not undefined: what it is used for comes out as unknown.
    """
    size = len(moments)
    rows = [
        [*row, *(1.0 if index == place else 0.0 for place in range(size))]
        for index, row in enumerate(moments)
    ]
    for pivot in range(size):
        height = max(rows[pivot][pivot], _LEAST_PIVOT * (moments[pivot][pivot] or 1.0))
        rows[pivot][pivot] = height
        lead = [value / height for value in rows[pivot]]
        rows[pivot] = lead
        for index in range(size):
            factor = rows[index][pivot]
            if index != pivot and factor:
                rows[index] = [
                    value - factor * each for value, each in zip(rows[index], lead, strict=True)
                ]
    return [row[size:] for row in rows]
