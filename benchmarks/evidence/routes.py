"""How far the bytes per request are off: by regression over routes, and by before-and-after.

A real service of nine routes under 1 to 50 concurrent clients; two of its routes keep memory, and
how much is known. With `--routes 40` they are two of forty, and not the busiest. The watch begins
when the service has run for a while, as after an alarm. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanKind
from route_traffic import KEPT_BYTES, ROUTES, shares_of_many

from opentelemetry.instrumentation.memory._attribution.route_counter import (
    RouteCounter,
    live_bytes,
)
from opentelemetry.instrumentation.memory._attribution.route_inquiry import growth_by_route
from opentelemetry.instrumentation.memory._attribution.route_record import RouteRecord
from opentelemetry.instrumentation.memory._probes import platform_probes
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
from opentelemetry.instrumentation.memory.config import MemoryConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.trace import Tracer

# Of many routes, neither of the two that keep memory is among the busiest.
_PLACES = {"/cart": 24, "/search": 8}
WARM_UP_SECONDS = 20.0
_CONCURRENCY = (1, 5, 10, 20, 50)
_LISTS = ("seconds", "growth", "in_flight")
_TABLES = ("columns", "carried")


class Service:
    """Serves requests in threads, and looks at memory before and after each, as one would."""

    def __init__(self, tracer: Tracer, sampler: Sampler, shares: dict[str, float]) -> None:
        self._tracer = tracer
        self._sampler = sampler
        self._kept: list[Any] = []
        self._is_over = threading.Event()
        self._routes, self._shares = list(shares), list(shares.values())
        self.differences: dict[str, list[int]] = {route: [] for route in shares}
        self.served = dict.fromkeys(shares, 0)

    def run(self, clients: int, seconds: float, pace: float) -> list[threading.Thread]:
        """Start that many clients, one request after the other each."""
        threads = [
            threading.Thread(target=self._client, args=(seed, pace)) for seed in range(clients)
        ]
        for thread in threads:
            thread.start()
        threading.Timer(seconds, self._is_over.set).start()
        return threads

    def is_over(self) -> bool:
        """Tell whether the clients are done."""
        return self._is_over.is_set()

    def _client(self, seed: int, pace: float) -> None:
        rnd = random.Random(seed)  # noqa: S311 - a seed, not a secret
        while not self._is_over.is_set():
            self._serve(rnd.choices(self._routes, self._shares)[0], rnd)
            self._is_over.wait(rnd.expovariate(1 / pace))

    def _serve(self, route: str, rnd: random.Random) -> None:
        before = self._live()
        attributes = {"http.route": route}
        with self._tracer.start_as_current_span("r", kind=SpanKind.SERVER, attributes=attributes):
            passing = [bytes(rnd.randrange(2_000)) for _ in range(30)]
            # As a database would: other requests run meanwhile.
            self._is_over.wait(rnd.expovariate(1 / 0.03))
            if route in KEPT_BYTES:
                # Written to: what malloc hands out and nobody touches is not resident.
                self._kept.append(b"x" * round(KEPT_BYTES[route] * rnd.uniform(0.5, 1.5)))
            del passing
        self.served[route] += 1
        self.differences[route].append(self._live() - before)

    def _live(self) -> int:
        probes = self._sampler._probes  # noqa: SLF001
        return probes.objects.read().used_bytes + probes.native.read().used_bytes


def sitting(clients: int, seconds: float, rate: float, routes: int) -> dict[str, Any]:
    """Return what was found of one service, and what was true."""
    provider = TracerProvider(sampler=TraceIdRatioBased(rate))
    counter = RouteCounter(SystemClock())
    counter.attach(provider)
    sampler = Sampler(MemoryConfig(), platform_probes(), SystemClock())
    sampler.risk = 1.0
    sampler.before_reading = counter.mark
    shares = dict.fromkeys(ROUTES, 1.0)
    if routes > len(ROUTES):
        shares = shares_of_many(routes, _PLACES)
    service = Service(provider.get_tracer("benchmark"), sampler, shares)
    threads = service.run(clients, WARM_UP_SECONDS + seconds, pace=max(0.005, clients / 200))
    time.sleep(WARM_UP_SECONDS)
    counter.start("native_heap")
    while not service.is_over():
        sample = sampler.take()
        assert sample is not None  # noqa: S101
        assert live_bytes(sample, None) is not None  # noqa: S101
        counter.observe(sample)
        time.sleep(0.5)
    for thread in threads:
        thread.join()
    record, _ = counter.records()
    counter.detach()
    return {
        "clients": clients,
        "served": service.served,
        "naive": {
            name: statistics.fmean(each) for name, each in service.differences.items() if each
        },
        "record": {name: getattr(record, name).tolist() for name in _LISTS}
        | {
            name: {route: column.tolist() for route, column in getattr(record, name).items()}
            for name in _TABLES
        }
        | {"stands_for": record.stands_for},
    }


def told(kept: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    """Return the routes that a record tells of: bytes kept per request, and their interval."""
    record = RouteRecord()
    for name in _LISTS:
        setattr(record, name, array("d", kept[name]))
    for name in _TABLES:
        columns = {route: array("d", column) for route, column in kept[name].items()}
        setattr(record, name, columns)
    record.stands_for = kept["stands_for"]
    found: list[Any] = []

    def fit() -> Any:
        found.extend((yield from growth_by_route(record)))

    list(fit())
    return {
        each.route: (each.bytes_per_request, each.least_bytes, each.most_bytes) for each in found
    }


def _row(clients: int, results: Sequence[dict[str, Any]]) -> str:
    ours, theirs, inside, number = [], [], 0, 0
    innocent_told = 0
    innocent = []
    for each in results:
        found = told(each["record"])
        innocent_told += len(found.keys() - KEPT_BYTES.keys())
        for route, kept in KEPT_BYTES.items():
            theirs.append(abs(each["naive"][route] / kept - 1))
            if route in found:
                value, least, most = found[route]
                number += 1
                inside += least <= kept <= most
                ours.append(abs(value / kept - 1))
        innocent.append(max(size for name, size in each["naive"].items() if name not in KEPT_BYTES))
    requests = statistics.fmean(sum(each["served"].values()) for each in results)
    return (
        f"| {clients} | {len(results)} | {requests:,.0f} | {number} of {2 * len(results)} "
        f"| {inside} of {number} "
        f"| {_percent(ours)} | {_percent(theirs)} | {innocent_told} "
        f"| {statistics.fmean(innocent) / 1000:,.1f} kB |"
    )


def _percent(errors: list[float]) -> str:
    return f"{100 * statistics.median(errors):.0f} %" if errors else "none told"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1.0, help="head sampling")
    parser.add_argument(
        "--routes",
        type=int,
        default=len(ROUTES),
        help="with more than nine, each is asked for less often than the one before",
    )
    parser.add_argument("--clients", type=int, nargs="*", default=_CONCURRENCY)
    parser.add_argument("--keep", type=Path, help="append sittings to this file, and print of all")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(sitting(given.one, given.seconds, given.rate, given.routes)))
        return
    lines: list[str] = []
    for _ in range(given.repeat):
        # Each waits nearly all the time, so they run side by side.
        running = [_start(clients, given) for clients in given.clients]
        for process in running:
            output, _ = process.communicate()
            if process.returncode != 0:
                raise RuntimeError("a service failed")
            lines.append(output)
    if given.keep is not None:
        with given.keep.open("a", encoding="utf-8") as file:
            file.writelines(lines)
        lines = given.keep.read_text(encoding="utf-8").splitlines()
    results = [json.loads(line) for line in lines]
    print(
        "| clients | sittings | requests | told | truth inside | error | error, before/after "
        "| innocent told | innocent, before/after (worst) |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for clients in sorted({each["clients"] for each in results}):
        print(_row(clients, [each for each in results if each["clients"] == clients]))


def _start(clients: int, given: argparse.Namespace) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--one", str(clients)]
    command += ["--seconds", str(given.seconds), "--rate", str(given.rate)]
    command += ["--routes", str(given.routes)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    main()
