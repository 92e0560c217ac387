"""A queue without a bound; the consumer is a little slower than the producer."""

import queue
import threading
import time

from _sidecar import Run

run = Run()
backlog: queue.Queue[dict[str, object]] = queue.Queue()


def consume() -> None:
    """Take fewer than come."""
    while True:
        for _ in range(14):
            if not backlog.empty():
                backlog.get()
        time.sleep(0.1)


threading.Thread(target=consume, daemon=True).start()
run.mark_leak()
for _ in run.ticks(0.1):
    for _ in range(run.random.randint(20, 50)):
        body = [run.random.random() for _ in range(12)]
        backlog.put({"topic": f"t{run.random.getrandbits(30)}", "body": body})
    run.request()
