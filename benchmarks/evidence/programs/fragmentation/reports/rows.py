from __future__ import annotations


def rows(count: int) -> list[bytearray]:
    """Return rows as they come from the network."""
    return [bytearray(1_800 + 16 * (number % 40)) for number in range(count)]
