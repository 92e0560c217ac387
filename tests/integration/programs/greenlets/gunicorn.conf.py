"""One worker of greenlets on a free port of loopback."""

from typing import Any

bind = "127.0.0.1:0"
workers = 1
worker_class = "gevent"
control_socket_disable = True


def post_worker_init(_: Any) -> None:
    """Open the gates in the worker, whose threads are greenlets by now."""
    import gevent  # noqa: PLC0415 - not in the main process
    import turnstile  # noqa: PLC0415 - the worker's own

    gevent.spawn(turnstile.let_in)
