"""A small web service that holds memory when asked to, for seeing it in Prometheus.

Nothing here knows of OpenTelemetry metrics: `opentelemetry-instrument` adds them from outside.
"""
# ruff: noqa: INP001 (a folder that is copied into an image, not a package)

from __future__ import annotations

import os
from typing import Any

from flask import Flask
from opentelemetry.trace import get_tracer_provider

MEBIBYTE = 2**20

app = Flask(__name__)
held: list[bytes] = []


def hold(mebibytes: int) -> None:
    """Keep that much more memory in this process until it ends."""
    # Ones rather than zeros: pages that nobody has written to are not resident.
    held.append(b"\x01" * (mebibytes * MEBIBYTE))


@app.get("/")
def who_am_i() -> dict[str, Any]:
    """Return which worker answered: its pid, its service instance and what it holds."""
    resource = getattr(get_tracer_provider(), "resource", None)
    return {
        "pid": os.getpid(),
        "instance": resource and resource.attributes.get("service.instance.id"),
        "held_bytes": sum(map(len, held)),
    }


@app.post("/hold/<int:mebibytes>")
def hold_more(mebibytes: int) -> dict[str, Any]:
    """Hold more memory in whichever worker answers, up to 64 MiB a request."""
    hold(min(mebibytes, 64))
    return who_am_i()
