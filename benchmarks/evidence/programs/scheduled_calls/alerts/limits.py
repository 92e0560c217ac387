from __future__ import annotations


def passed(number: int) -> bool:
    return number * 2_654_435_761 % 100 < 80
