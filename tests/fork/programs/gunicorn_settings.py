"""Two workers on a free port of loopback, each with memory of its own."""

from __future__ import annotations

import os
import time
from typing import Any

from ballast import hold_and_register

bind = "127.0.0.1:0"
workers = 2
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    hold_and_register()
    if "gevent" in str(worker.cfg.worker_class):
        import gevent  # noqa: PLC0415 - only where it is used

        gevent.spawn(_work)


def _work() -> None:
    from gevent import sleep  # noqa: PLC0415 - as above

    deadline = time.process_time() + float(os.environ["BUSY_SECONDS"])
    while time.process_time() < deadline:
        sum(range(10_000))
        sleep(0)
