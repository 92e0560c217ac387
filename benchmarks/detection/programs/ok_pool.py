"""A thread pool grows with the queue to its bound of 24 workers and stays there."""

import threading
from concurrent.futures import ThreadPoolExecutor

from _sidecar import Run

run = Run()
local = threading.local()


def work(size: int) -> int:
    """Use the buffers of this thread, made at its first call."""
    if not hasattr(local, "buffer"):
        local.buffer = bytearray(256 * 1024)
        local.table = {i: str(i) for i in range(2000)}
    return len(local.buffer) + size


with ThreadPoolExecutor(max_workers=24) as pool:
    workers = 0
    for now in run.ticks(0.05):
        run.request()
        if workers < 24 and now > 2 + 1.1 * workers:
            workers += 1
            gate = threading.Barrier(workers)

            def together(wait: threading.Barrier) -> None:
                """Keep each worker busy until all of them are."""
                work(1)
                wait.wait(5)

            for _ in range(workers):
                pool.submit(together, gate)
        else:
            pool.submit(work, 3)
