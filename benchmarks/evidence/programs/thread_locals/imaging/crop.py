from __future__ import annotations

import random

from imaging.scratch import Region, clear, note, scratch


def interesting(picture: int) -> list[Region]:
    generator = random.Random(picture)
    return [
        Region(
            generator.randrange(640),
            generator.randrange(480),
            [generator.random() for _ in range(8)],  # culprit
        )
        for _ in range(6)
    ]


def crop(picture: int, *, keeps_history: bool) -> int:
    for region in interesting(picture):
        note(region)
    best = max(scratch.regions[-6:], key=lambda region: sum(region.weights))
    if not keeps_history:
        clear()
    return best.left
