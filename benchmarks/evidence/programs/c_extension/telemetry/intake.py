from __future__ import annotations

from collections import deque

from _decoder import decode

latest: deque[tuple[int, int]] = deque(maxlen=5_000)


def take(meter: int, readings: list[bytes], *, strict: bool) -> int:
    total = 0
    for reading in readings:
        total ^= decode(reading, strict)  # culprit
    latest.append((meter, total))
    return total
