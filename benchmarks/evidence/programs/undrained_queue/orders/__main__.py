from __future__ import annotations

import itertools

import rollout

from orders import audit
from orders.service import handle

if __name__ == "__main__":
    audit.start()
    numbers = itertools.count(1)
    for _ in rollout.paced(30):
        for _ in range(15):
            handle(next(numbers))
