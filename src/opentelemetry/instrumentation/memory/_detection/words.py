"""Quantities as a person reads them."""

from __future__ import annotations


def bytes_in_words(value: float) -> str:
    """Return bytes with a binary unit: `18.2 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:  # noqa: PLR2004 - the step between binary units
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def seconds_in_words(value: float) -> str:
    """Return a duration in its largest fitting unit: `2.1 h`."""
    for unit, length in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if value >= 1.5 * length:
            return f"{value / length:.1f} {unit}"
    return f"{value:.0f} s"
