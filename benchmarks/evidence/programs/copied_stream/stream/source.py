from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Measurement:
    sensor: int
    values: list[float]


def measurements() -> Iterator[Measurement]:
    while True:
        values = [random.gauss(20, 3) for _ in range(6)]  # culprit
        yield Measurement(random.randrange(64), values)  # culprit
