from __future__ import annotations

import queue
import random
import threading

import rollout

from gateway.proxy import forward

arrived: queue.Queue[tuple[str, bytes]] = queue.Queue(maxsize=200)


def serve() -> None:
    while True:
        tenant, body = arrived.get()
        forward(tenant, body, traced=rollout.is_live())


if __name__ == "__main__":
    for index in range(3):
        threading.Thread(target=serve, name=f"proxy-{index}", daemon=True).start()
    for _ in rollout.paced(25):
        for _ in range(20):
            arrived.put((f"tenant-{random.randrange(40)}", random.randbytes(80)))
