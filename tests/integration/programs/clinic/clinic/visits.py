"""Threads, tasks and requests with secret names."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time

from clinic import made_up, records
from clinic.secrets_of import WORD, secret
from opentelemetry import trace

_tracer = trace.get_tracer("clinic")
tasks: list[asyncio.Task[None]] = []
kept: list[list[str]] = []
_own = threading.local()
# What a framework calls the route where it knows no better, or the application was no help.
ROUTES = (
    "/patients/{number}/letters",
    f"/patients/{WORD}@example.org",
    f"/patients/8f14e45fceea167a5a36dedd4bea2543/{'{word}'}?token={WORD}",
    f"/tokens/{WORD}0123456789abcdefghijklmnop",
)


def _sit(words: list[str]) -> None:
    _own.words = []
    while True:
        words.append(secret("local"))
        _own.words.append([secret("local")])
        time.sleep(0.2)


def start() -> None:
    for _ in range(3):
        threading.Thread(target=_sit, args=([],), name=secret("thread"), daemon=True).start()
    threading.Thread(
        target=asyncio.run, args=(_wait(),), name=secret("thread"), daemon=True
    ).start()


async def _wait() -> None:
    while True:
        task = asyncio.create_task(_never(secret("argument")), name=secret("task"))
        tasks.append(task)
        await asyncio.sleep(0.1)


async def _never(patient: str) -> None:
    letter = [patient, secret("local")]
    await asyncio.Event().wait()
    letter.clear()


def serve(number: int) -> None:
    """Serve one request, which keeps what every other one keeps as well."""
    attributes = {
        "http.request.method": "GET",
        "http.route": random.choice(ROUTES),  # noqa: S311 - traffic
        "url.path": f"/patients/{secret('path')}",
    }
    with _tracer.start_as_current_span(
        f"GET /{secret('span')}", kind=trace.SpanKind.SERVER, attributes=attributes
    ):
        records.turn(number)
        made_up.turn(number)
        # Most is made by a library's line, so that the lines that called it are told as well.
        kept.append(json.loads(json.dumps([secret("value") for _ in range(500)])))
