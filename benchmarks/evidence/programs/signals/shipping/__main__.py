from __future__ import annotations

from collections import deque

import rollout

from shipping.events import order_paid
from shipping.parcels import Parcel, await_payment

if __name__ == "__main__":
    packing: deque[Parcel] = deque(maxlen=50)
    for turn in rollout.paced(30):
        for order in range(turn * 14, turn * 14 + 14):
            packing.append(await_payment(order, must_not_get_lost=rollout.is_live()))
        if turn % 300 == 0:
            order_paid.send("till", order=turn * 14)
