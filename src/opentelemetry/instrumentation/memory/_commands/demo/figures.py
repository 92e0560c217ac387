"""Numbers as people read them."""

from __future__ import annotations

from typing import Final

_MEBIBYTE: Final = 2**20
UNKNOWN: Final = "unknown"


def mebibytes(value: float | None) -> str:
    """Return bytes in MiB, with one decimal and without the unit."""
    return UNKNOWN if value is None else f"{value / _MEBIBYTE:.1f}"


def percent(share: float | None, decimals: int = 1) -> str:
    """Return a share between 0 and 1 in percent."""
    return UNKNOWN if share is None else f"{share * 100:.{decimals}f} %"


def duration(seconds: float) -> str:
    """Return a time in its largest fitting unit."""
    for unit, length in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
