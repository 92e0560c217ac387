"""Visitors of all services, a steady stream to each."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ANSWER_SECONDS = 5


@contextlib.contextmanager
def visitors(urls: Mapping[str, str], visits_per_second: float) -> Iterator[None]:
    """Visit each service so often, from a thread each, until the block is left."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_visit, args=(url, 1 / visits_per_second, stop), daemon=True)
        for url in urls.values()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(ANSWER_SECONDS)


def _visit(url: str, interval_seconds: float, stop: threading.Event) -> None:
    due = time.monotonic()
    address = urlsplit(url).netloc
    while not stop.wait(max(due - time.monotonic(), 0)):
        # A service that was slow is not flooded afterwards.
        due = max(due + interval_seconds, time.monotonic())
        with contextlib.suppress(OSError, http.client.HTTPException):  # it starts or ends
            connection = http.client.HTTPConnection(address, timeout=ANSWER_SECONDS)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
            finally:
                connection.close()
