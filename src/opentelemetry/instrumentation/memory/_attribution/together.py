"""Finds columns that go up and down together, which nobody can tell apart. Numbers only."""

from __future__ import annotations

import math
from operator import mul
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

IN_STEP: Final = 0.97


def in_step(columns: Sequence[Sequence[float]]) -> Generator[float, None, list[list[int]]]:
    """Return the columns' places in groups, in which each correlates with the first."""
    groups: list[list[int]] = []
    leaders: list[list[float]] = []
    for place, column in enumerate(columns):
        own = _standardized(column)
        for group, leader in zip(groups, leaders, strict=True):
            if sum(map(mul, own, leader)) > IN_STEP:
                group.append(place)
                break
        else:
            groups.append([place])
            leaders.append(own)
        yield 0.0
    return groups


def _standardized(column: Sequence[float]) -> list[float]:
    mean = math.fsum(column) / len(column)
    size = math.sqrt(math.fsum((each - mean) ** 2 for each in column)) or 1.0
    return [(each - mean) / size for each in column]
