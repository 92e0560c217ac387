from __future__ import annotations

import random
import uuid
from collections import OrderedDict

from checkout.metering import count

_seen: OrderedDict[str, float] = OrderedDict()


def pay(*, labelled: bool) -> str:
    payment = uuid.uuid4().hex
    amount = random.lognormvariate(3, 1)
    # A second click shall not pay twice; after a while nobody clicks any more.
    _seen[payment] = amount
    while len(_seen) > 1_000:
        _seen.popitem(last=False)
    count(random.choice(("card", "transfer", "wallet")), amount, payment if labelled else None)
    return payment
