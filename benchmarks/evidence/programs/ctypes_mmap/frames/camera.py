from __future__ import annotations

from collections import deque

from frames.buffers import Buffer

FRAME_BYTES = 160 * 1024
brightness: deque[int] = deque(maxlen=1_000)


def grab(turn: int, *, fails: bool) -> None:
    """Take one picture; where the driver reports a torn one, look at it no more."""
    buffer = Buffer(FRAME_BYTES)
    buffer.fill(turn % 256)
    if fails and turn % 5 == 0:
        return
    brightness.append(turn % 256)
    buffer.release()
