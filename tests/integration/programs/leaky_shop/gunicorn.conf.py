"""Gunicorn settings of the leaky shop: two workers, and the first one leaks."""

import os
from typing import Any

bind = os.environ["SAMPLE_BIND"]
workers = 2
preload_app = os.environ.get("SAMPLE_PRELOAD") == "1"
control_socket_disable = True  # it would be a file in the home folder


def post_worker_init(worker: Any) -> None:
    """Let the first worker leak."""
    import service  # noqa: PLC0415 - the worker's own, not one inherited from the main process

    service.Worker.is_leaking = worker.age == 1
