"""A small shop of which one worker leaks: it keeps something of every request.

Nothing here knows of OpenTelemetry metrics or events: `opentelemetry-instrument` adds them.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache
from typing import Any

from flask import Flask
from opentelemetry.trace import get_tracer_provider

KEPT_A_REQUEST = 200
# The object with its garbage collector's header, and bytes of 433: both from the object allocator.
KEPT_BYTES = 48 + 448

app = Flask(__name__)


class Kept:
    """What is left of a request."""

    __slots__ = ("payload", "previous")

    def __init__(self, previous: Kept | None) -> None:
        self.payload = bytes(400)
        self.previous = previous


class Worker:
    """What this process has kept so far."""

    is_leaking = False
    newest: Kept | None = None
    count = 0
    requests = 0


@lru_cache(maxsize=500)
def price(item: int) -> list[str]:
    """Return something that is worth a bounded cache."""
    return [f"{item:030d}"] * 20


@app.get("/")
def front_page() -> dict[str, Any]:
    """Return which worker answers and what it has kept, after some work that every worker does."""
    Worker.requests += 1
    basket = [price((Worker.requests + item) % 800) for item in range(50)]
    if Worker.is_leaking:
        for _ in range(KEPT_A_REQUEST):
            Worker.newest = Kept(Worker.newest)
        Worker.count += KEPT_A_REQUEST
    resource = getattr(get_tracer_provider(), "resource", None)
    return {
        "pid": os.getpid(),
        "instance": resource and resource.attributes.get("service.instance.id"),
        "is_leaking": Worker.is_leaking,
        "kept_bytes": Worker.count * KEPT_BYTES,
        "at_seconds": time.monotonic(),
        "basket": len(basket),
    }
