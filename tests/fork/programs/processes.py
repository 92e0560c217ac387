"""Two processes of multiprocessing, started in the way that the argument names."""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any

from ballast import hold_and_register


def work(is_over: Any) -> None:
    hold_and_register()
    is_over.wait()


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    is_over = context.Event()
    workers = [context.Process(target=work, args=(is_over,), daemon=True) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
