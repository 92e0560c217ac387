"""Saved state, read back with suspicion: what was not written here is a ValueError."""

from __future__ import annotations

import math
from array import array
from typing import Any, Final

_LARGEST_WHOLE: Final = 2**53
# Far beyond any sum of bytes, and sums of these are still numbers.
_LARGEST: Final = 1e30


def members(saved: Any) -> dict[str, Any]:
    """Return an object's members.

    Raises:
        ValueError: It is no object.
    """
    if not isinstance(saved, dict):
        raise ValueError(f"damaged detector state: {saved!r:.40} is not an object")  # noqa: TRY004 - one kind of error for all damage
    return saved


def items(saved: Any, most: int) -> list[Any]:
    """Return a list of at most that many values.

    Raises:
        ValueError: It is no list, or longer.
    """
    if not isinstance(saved, list) or len(saved) > most:
        raise ValueError(f"damaged detector state: {saved!r:.40} is not a list of at most {most}")
    return saved


def number(saved: Any, least: float = -math.inf) -> float:
    """Return a number, as it was written: an integer stays one.

    Raises:
        ValueError: It is not a number of at least `least`, or no size that occurs.
    """
    if isinstance(saved, (int, float)) and least <= saved and abs(saved) <= _LARGEST:
        return saved
    raise ValueError(f"damaged detector state: {saved!r:.40} is not a number of at least {least}")


def whole(saved: Any, least: int = 0, most: int = _LARGEST_WHOLE) -> int:
    """Return a whole number within bounds.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(saved, int) and least <= saved <= most:
        return saved
    raise ValueError(f"damaged detector state: {saved!r:.40} is not from {least} to {most}")


def text(saved: Any) -> str:
    """Return a text.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(saved, str):
        raise ValueError(f"damaged detector state: {saved!r:.40} is not a text")  # noqa: TRY004 - one kind of error for all damage
    return saved


def packed(values: array[float]) -> str:
    """Return numbers without loss, in a third of the characters that JSON would need."""
    return values.tobytes().hex()


def unpacked(saved: Any) -> array[float]:
    """Return the numbers of `packed`.

    Raises:
        ValueError: It is something else, or one of them is no size that occurs.
    """
    values = array("d")
    values.frombytes(bytes.fromhex(text(saved)))
    if not all(abs(value) <= _LARGEST for value in values):
        raise ValueError("damaged detector state: a number is not finite")
    return values


# Doubles differ between machines in the order of their bytes.
BYTE_ORDER: Final = packed(array("d", [1.0]))
