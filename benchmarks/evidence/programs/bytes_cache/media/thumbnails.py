from __future__ import annotations

from media.render import render

WIDTHS = (320, 640, 1280)
_rendered: dict[tuple[int, int, int], bytes] = {}


def thumbnail(picture: int, width: int, height: int, *, exact: bool) -> bytes:
    """Return a picture; in the new release in exactly the size that a screen asks for."""
    if not exact:
        width, height = min(WIDTHS, key=lambda each: abs(each - width)), 0
    key = (picture, width, height)
    if key not in _rendered:
        _rendered[key] = render(picture, width)  # culprit
    return _rendered[key]
