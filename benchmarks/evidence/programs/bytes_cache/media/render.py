from __future__ import annotations

import random


def render(picture: int, width: int) -> bytes:
    """Return the picture in one size; a wide one takes up some kilobytes."""
    generator = random.Random(picture)
    return generator.randbytes(width * 4 + generator.randrange(600, 2_000))
