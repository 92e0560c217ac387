from __future__ import annotations

import itertools
import queue
import threading

import rollout

from billing.invoices import issue
from billing.orders import next_order

inbox: queue.Queue[int] = queue.Queue(maxsize=100)


def work() -> None:
    while True:
        issue(next_order(inbox.get()), by_address=rollout.is_live())


if __name__ == "__main__":
    for index in range(2):
        threading.Thread(target=work, name=f"billing-{index}", daemon=True).start()
    numbers = itertools.count(1)
    for _ in rollout.paced(25):
        for _ in range(40):
            inbox.put(next(numbers))
