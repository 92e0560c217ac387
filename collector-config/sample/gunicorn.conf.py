"""Gunicorn settings of the sample service: two workers that hold different amounts of memory."""
# ruff: noqa: INP001 (a folder that is copied into an image, not a package)

import os
from typing import Any

bind = os.environ.get("SAMPLE_BIND", "127.0.0.1:8000")
workers = 2
control_socket_disable = True  # it would be a file in the home folder


def post_worker_init(worker: Any) -> None:
    """Hold 32 MiB in the first worker and 64 MiB in the second: the series can be told apart."""
    import service  # noqa: PLC0415 - the worker's own, not one inherited from the main process

    service.hold(int(os.environ.get("SAMPLE_MEBIBYTES_PER_WORKER", "32")) * worker.age)
