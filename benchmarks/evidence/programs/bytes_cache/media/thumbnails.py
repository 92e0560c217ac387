from __future__ import annotations

from media.render import render

WIDTHS = (320, 640, 1280)
_rendered: dict[tuple[int, int], bytes] = {}


def thumbnail(picture: int, width: int, *, exact: bool) -> bytes:
    """Return a picture; in the new release in exactly the width that a screen asks for."""
    if not exact:
        width = min(WIDTHS, key=lambda each: abs(each - width))
    key = (picture, width)
    if key not in _rendered:
        _rendered[key] = render(picture, width)  # culprit
    return _rendered[key]
