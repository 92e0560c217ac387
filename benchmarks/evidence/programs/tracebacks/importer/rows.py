from __future__ import annotations

import random


class RowError(ValueError):
    """A row that cannot be read."""


def next_row(number: int) -> list[str]:
    cells = [f"{random.randrange(10_000)}" for _ in range(20)]  # culprit
    if number % 4 == 0:
        cells[7] = "n/a"
    return cells


def parse(cells: list[str]) -> list[int]:
    numbers = []
    for cell in cells:
        if not cell.isdigit():
            raise RowError("not a number")  # culprit
        numbers.append(int(cell))
    return numbers
