"""A request: what this package adds to it by default, which is nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import flask
from harness import MICRO, Effort, Line, column, fresh, ratios, seconds_per_call
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import opentelemetry.instrumentation.memory as package
from opentelemetry.instrumentation.memory import MemoryInstrumentor

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

TITLE = "A request"

_REQUESTS = 200


def measure(effort: Effort) -> list[Line]:
    """Return calls into this package, and the time per request with it and without it."""
    with_it, without = [], []
    for _ in range(effort.processes):
        with_it.append(fresh(serve, True))  # noqa: FBT003 - passed by position as JSON
        without.append(fresh(serve, False))  # noqa: FBT003
    ours, theirs = column(with_it, "seconds", MICRO), column(without, "seconds", MICRO)
    return [
        Line("calls into this package per request", column(with_it, "calls"), "", 0),
        Line("Flask, test client: with it", ours, "µs"),
        Line("Flask, test client: without it", theirs, "µs"),
        Line("with / without", ratios(ours, theirs), "times"),
    ]


def serve(is_instrumented: bool) -> dict[str, float]:  # noqa: FBT001
    """Return seconds per request, and how often a request enters this package."""
    if is_instrumented:
        provider = MeterProvider(metric_readers=[InMemoryMetricReader()])
        MemoryInstrumentor().instrument(meter_provider=provider)
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=lambda: {"hello": "world"})
    client = app.test_client()

    def request() -> None:
        client.get("/")

    return {
        "calls": _calls_into_package(request) / _REQUESTS,
        "seconds": seconds_per_call(request, batch_seconds=0.05),
    }


def _calls_into_package(request: Callable[[], None]) -> int:
    folder = str(Path(package.__file__).parent)
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(folder)

    sys.setprofile(count)  # this thread only: the one that serves
    for _ in range(_REQUESTS):
        request()
    sys.setprofile(None)
    return calls
