"""Prices from a slow backend, kept for a while. Bounded, and so healthy."""

from __future__ import annotations

from collections import OrderedDict

_MOST = 2_000
_prices: OrderedDict[int, int] = OrderedDict()


def price_cents(number: int) -> int:
    if number in _prices:
        _prices.move_to_end(number)
        return _prices[number]
    price = _prices[number] = 199 + number * 37 % 9_800
    if len(_prices) > _MOST:
        _prices.popitem(last=False)
    return price
