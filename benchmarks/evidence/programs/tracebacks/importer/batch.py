from __future__ import annotations

import rollout

from importer.rows import RowError, next_row, parse


class Batch:
    """One delivery; it never ends since partners stream their rows."""

    def __init__(self, partner: str) -> None:
        self.partner = partner
        self.read = 0
        self.failures: list[RowError] = []

    def take(self, number: int) -> None:
        cells = next_row(number)  # culprit
        try:
            parse(cells)
        except RowError as error:
            if rollout.is_live():
                self.failures.append(error)  # culprit
        else:
            self.read += 1
