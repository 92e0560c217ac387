from __future__ import annotations

from collections import OrderedDict

from orders import audit

_open: OrderedDict[int, str] = OrderedDict()


def handle(number: int) -> str:
    for action in ("created", "paid", "sent"):
        _open[number] = action
        audit.record(number, action)
    while len(_open) > 1_500:
        _open.popitem(last=False)
    return _open[number]
