from __future__ import annotations

import random

from geo.distance import Place

STATIONS = [Place(48 + index / 100, 2 + index / 90) for index in range(30)]


def whereabouts(*, precise: bool) -> Place:
    if not precise:
        return random.choice(STATIONS)
    return Place(48 + random.random(), 2 + random.random())  # culprit
