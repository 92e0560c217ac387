"""Gunicorn's settings for the sample service; it is told where to listen on its command line."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

workers = 1
timeout = 10
graceful_timeout = 2
loglevel = "warning"
control_socket_disable = True


def when_ready(_: Any) -> None:
    """End the server when the demo ends, however that happens."""
    threading.Thread(target=_end_with_the_demo, name="lifeline", daemon=True).start()


def _end_with_the_demo() -> None:
    # The demo holds the other end of this pipe and never writes: it closes with the process.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
