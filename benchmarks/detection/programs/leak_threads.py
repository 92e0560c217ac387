"""A thread is started for every lost connection and waits for ever."""

import threading

from _sidecar import Run

run = Run()
never = threading.Event()


def wait(depth: int) -> None:
    """Touch some stack, then wait."""
    if depth:
        wait(depth - 1)
    else:
        never.wait()


for now in run.ticks(0.1):
    run.request()
    if now > 10 and run.random.random() < 0.25:
        run.mark_leak()
        threading.Thread(target=wait, args=(300,), daemon=True).start()
