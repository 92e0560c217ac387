from __future__ import annotations

import os


def render(picture: int, width: int) -> bytes:
    """Return the picture in one size; a wide one takes up some kilobytes."""
    return b"RIFF" + os.urandom(width * 4 + 600 + picture * 20)  # culprit
