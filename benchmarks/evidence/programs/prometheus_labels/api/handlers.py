from __future__ import annotations

import time
import uuid
from collections import deque

from api import metrics

_bodies: deque[bytes] = deque(maxlen=200)


def handle(path: str, customer: uuid.UUID | None) -> None:
    began = time.monotonic()
    _bodies.append(path.encode() * 20)
    if customer is not None:
        metrics.count_customer(customer.hex, "trial" if customer.int % 3 else "business")  # culprit
    metrics.count("GET", path, time.monotonic() - began)
