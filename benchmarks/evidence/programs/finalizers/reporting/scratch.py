from __future__ import annotations

import weakref
from dataclasses import dataclass


@dataclass
class Place:
    folder: str
    pages: list[int]


def _remove(place: Place) -> None:
    place.pages.clear()


class Scratch:
    """Where a report is drawn; cleaned up when its owner is gone."""

    def __init__(self, report: int) -> None:
        self.place = Place(f"scratch/{report}", list(range(report % 7 + 3)))  # culprit

    def clean_up_with(self, owner: object) -> None:
        weakref.finalize(owner, _remove, self.place)  # culprit
