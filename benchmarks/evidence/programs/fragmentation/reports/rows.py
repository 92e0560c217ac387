from __future__ import annotations

import random


def row(width: int) -> bytearray:
    """Return a row as it comes from the network."""
    return bytearray(random.randbytes(16) * (width // 16))
