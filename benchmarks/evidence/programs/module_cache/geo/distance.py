from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Place:
    latitude: float
    longitude: float


@cache
def distance(start: Place, end: Place) -> dict[str, float]:
    a, b = math.radians(start.latitude), math.radians(end.latitude)
    c = math.radians(end.longitude - start.longitude)
    cosine = math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b) * math.cos(c)
    return {"km": 6371 * math.acos(min(1.0, cosine)), "bearing": math.degrees(c)}  # culprit
