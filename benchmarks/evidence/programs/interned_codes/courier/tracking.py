from __future__ import annotations

from collections import OrderedDict

from courier.codes import Code

_parcels: OrderedDict[int, Code] = OrderedDict()


def follow(number: int, text: str) -> bool:
    code = Code.of(text)
    _parcels[number] = code
    if len(_parcels) > 500:
        _parcels.popitem(last=False)
    return code.is_final
