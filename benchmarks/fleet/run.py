"""Measures `opentelemetry-memory watch` and writes the figures into README.md beside this file.

    make bench-fleet

Starts the real service on one core, sends it a fleet by gRPC, and reads its costs from the kernel.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import grpc  # type: ignore[import-untyped] # no stubs in its distribution
import psutil
from benchmarks.environment import describe
from benchmarks.fleet.generator import MEBIBYTE, RUNTIMES, Process, request
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from opentelemetry.instrumentation.memory._commands.watch.fleet import Fleet
from opentelemetry.instrumentation.memory._commands.watch.settings import WatchSettings
from opentelemetry.instrumentation.memory._commands.watch.store import StateStore
from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

README: Final = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
INTERVAL_SECONDS: Final = 15.0
ANY_TIME: Final = ("--max-age-seconds=1000000000", "--max-future-seconds=1000000000")
A_REQUEST: Final = 250
LEAKERS: Final = 20
COMMAND: Final = Path(sys.executable).parent / "opentelemetry-memory"
METHOD: Final = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


@dataclass(frozen=True)
class Effort:
    """How much to measure."""

    processes: int
    filled_moments: int
    steady_seconds: float
    long_processes: int
    long_moments: int


FULL: Final = Effort(10_000, 120, 90.0, 150, 5760)
QUICK: Final = Effort(500, 40, 16.0, 20, 480)


@dataclass
class Sink:
    """Receives what the watch sends, and remembers when each confirmed leak arrived."""

    arrived: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def listening(self) -> Iterator[str]:
        """Listen, and give the address."""
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/logs":
                    sink.receive(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def receive(self, body: bytes) -> None:
        """Remember when each confirmed leak arrived first."""
        now = time.monotonic()
        for of_resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            resource = {a.key: a.value.string_value for a in of_resource.resource.attributes}
            for record in of_resource.scope_logs[0].log_records:
                if record.severity_text == "ERROR":
                    self.arrived.setdefault(resource["service.instance.id"], now)


class Service:
    """A watch that runs on one core, and what it has cost."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = psutil.Process(process.pid)
        self._call = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary(METHOD)

    def send(self, content: bytes) -> float:
        """Send one request; return the seconds until its answer."""
        began = time.perf_counter()
        self._call(content, wait_for_ready=True, timeout=60)
        return time.perf_counter() - began

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def resident_bytes(self) -> int:
        """Return its resident set."""
        return int(self._process.memory_info().rss)


@contextlib.contextmanager
def service(endpoint: str, folder: str) -> Iterator[Service]:
    """Run a watch on one core."""
    port = random.randrange(16_000, 32_000)  # noqa: S311 - no secret
    command: list[str | Path] = [
        COMMAND, "watch", f"--grpc=127.0.0.1:{port}", "--http=off",
        f"--state-directory={folder}", *ANY_TIME,
    ]  # fmt: skip
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    psutil.Process(process.pid).cpu_affinity([0])
    try:
        yield Service(process, port)
    finally:
        process.terminate()
        process.wait()


def requests_of(fleet: Sequence[Process], began: float, seconds: float) -> Iterator[bytes]:
    """Yield one moment of the whole fleet, in requests as a collector would batch them."""
    for first in range(0, len(fleet), A_REQUEST):
        yield request(fleet[first : first + A_REQUEST], began, seconds).SerializeToString()


def fleet_of(count: int) -> list[Process]:
    """Return so many healthy processes, of all runtimes in turn."""
    return [Process(number, RUNTIMES[number % len(RUNTIMES)]) for number in range(count)]


def confirming_moment(process: Process, began: float) -> int:
    """Return at which moment a leak is confirmed: known beforehand, as the detector is pure."""
    fleet = Fleet(WatchSettings(max_age_seconds=1e9, max_future_seconds=1e9), Tally())
    for moment in range(20_000):
        fleet.take(request([process], began, moment * INTERVAL_SECONDS), began)
        for event in fleet.events(10):
            if event.outcome.news == "confirmed":
                return round((event.outcome.time / 1e9 - began) / INTERVAL_SECONDS)
        fleet.sent(fleet.events(10))
    raise RuntimeError("never confirmed")


def long_run(effort: Effort, say: Callable[[str], None]) -> list[tuple[str, str]]:
    """Return what a process costs after so many samples: memory, and time to save and to load."""
    settings = WatchSettings(max_age_seconds=1e9, max_future_seconds=1e9)
    watched = Fleet(settings, Tally())
    fleet = fleet_of(effort.long_processes)
    gc.collect()
    before = psutil.Process().memory_info().rss
    figures = []
    marks = {effort.long_moments // 24: "an hour", effort.long_moments: "a day"}
    for moment in range(1, effort.long_moments + 1):
        watched.take(request(fleet, 1.7e9, moment * INTERVAL_SECONDS), 1.7e9)
        if moment in marks:
            gc.collect()
            grown = psutil.Process().memory_info().rss - before
            what = f"memory a process, after {marks[moment]} of samples, in one Python"
            figures.append((what, f"{grown / len(fleet) / 1024:.0f} KiB"))
            say(f"{what}: {figures[-1][1]}")
    return [*figures, *kept(watched)]


def kept(watched: Fleet) -> list[tuple[str, str]]:
    """Measure the saving of all that is known to disk, and the loading of it."""
    identities = watched.identities()
    with TemporaryDirectory() as folder, contextlib.closing(StateStore(folder)) as store:
        began = time.perf_counter()
        states = (watched.state_of(each) for each in identities)
        store.save(0, (each for each in states if each is not None))
        saved = time.perf_counter()
        loaded = Fleet(WatchSettings(), Tally()).restore(store.load(), time.time())
        ended = time.perf_counter()
    if loaded != len(identities):
        raise RuntimeError(f"{loaded} of {len(identities)} came back")
    saving, loading = (each / loaded * 1e3 for each in (saved - began, ended - saved))
    return [
        ("saving / loading a process after a day", f"{saving:.2f} / {loading:.2f} ms"),
    ]


def measure(effort: Effort, say: Callable[[str], None]) -> list[tuple[str, str]]:
    """Return the rows of the table."""
    fleet = fleet_of(effort.processes)
    sink = Sink()
    began = time.time() - effort.filled_moments * INTERVAL_SECONDS
    rows = []
    with sink.listening() as endpoint, TemporaryDirectory() as folder:
        with service(endpoint, folder) as watch:
            rows += loaded(watch, fleet, began, effort, say)
            rows += latency(watch, sink, say)
        # It has saved everything by the time that it has ended.
        size = sum(each.stat().st_size for each in Path(folder).iterdir())
    rows.append(("state on disk a process", f"{size / effort.processes / 1024:.1f} KiB"))
    return rows


def loaded(
    watch: Service,
    fleet: Sequence[Process],
    began: float,
    effort: Effort,
    say: Callable[[str], None],
) -> list[tuple[str, str]]:
    """Fill the watch with the past as fast as that can be made, then go on at the usual pace."""
    watch.send(b"")
    start_bytes, start_cpu = watch.resident_bytes(), watch.cpu_seconds()
    for moment in range(effort.filled_moments):
        for content in requests_of(fleet, began, moment * INTERVAL_SECONDS):
            watch.send(content)
        if moment % 20 == 0:
            say(f"filling: {moment} of {effort.filled_moments} moments")
    samples = effort.processes * effort.filled_moments
    cost = (watch.cpu_seconds() - start_cpu) / samples
    rows = [
        ("CPU a sample, from request to verdict, all threads", f"{cost * 1e6:.0f} µs"),
        ("samples a second that this is on one core", f"{1 / cost:,.0f}"),
        *steady(watch, fleet, began, effort, say),
    ]
    used = (watch.resident_bytes() - start_bytes) / effort.processes
    minutes = effort.filled_moments * INTERVAL_SECONDS / 60
    rows += [
        (
            f"resident memory a process, after {minutes:.0f} minutes of samples",
            f"{used / 1024:.0f} KiB",
        ),
        ("resident memory without any process", f"{start_bytes / MEBIBYTE:.0f} MiB"),
    ]
    return rows


def steady(
    watch: Service,
    fleet: Sequence[Process],
    began: float,
    effort: Effort,
    say: Callable[[str], None],
) -> list[tuple[str, str]]:
    """Send at the pace of real life: every process once in fifteen seconds, evenly spread."""
    say("steady pace")
    chunks = [fleet[first : first + A_REQUEST] for first in range(0, len(fleet), A_REQUEST)]
    spacing = INTERVAL_SECONDS / len(chunks)
    answers, number = [], 0
    cpu, begin = watch.cpu_seconds(), time.monotonic()
    while time.monotonic() - begin < effort.steady_seconds:
        moment = effort.filled_moments + number // len(chunks)
        chunk = chunks[number % len(chunks)]
        content = request(chunk, began, moment * INTERVAL_SECONDS).SerializeToString()
        number += 1
        time.sleep(max(begin + number * spacing - time.monotonic(), 0))
        answers.append(watch.send(content))
    seconds = time.monotonic() - begin
    share = (watch.cpu_seconds() - cpu) / seconds
    answers.sort()
    median, high = statistics.median(answers) * 1e3, answers[int(0.99 * len(answers))] * 1e3
    return [
        (f"{len(fleet):,} processes, one sample in 15 s: share of a core", f"{share:.1%}"),
        ("the same: a request of 250 processes is answered in (median / 99 of 100)",
         f"{median:.0f} / {high:.0f} ms"),
    ]  # fmt: skip


def latency(watch: Service, sink: Sink, say: Callable[[str], None]) -> list[tuple[str, str]]:
    """Measure from the request that confirms a leak to the arrival of its event."""
    say("verdict latency")
    began, waits = 1.7e9, []
    for number in range(LEAKERS):
        runtime = RUNTIMES[number % len(RUNTIMES)]
        process = Process(10**6 + number, runtime, leak_bytes_per_second=60_000)
        last = confirming_moment(process, began)
        for moment in range(last):
            watch.send(request([process], began, moment * INTERVAL_SECONDS).SerializeToString())
        content = request([process], began, last * INTERVAL_SECONDS).SerializeToString()
        sent = time.monotonic()
        watch.send(content)
        while process.name not in sink.arrived:
            if time.monotonic() - sent > 30:
                raise RuntimeError(f"{process.name} was not confirmed")
            time.sleep(0.001)
        waits.append(sink.arrived[process.name] - sent)
    return [
        ("from the sample that confirms a leak to its event (median / highest of 20)",
         f"{statistics.median(waits) * 1e3:.0f} / {max(waits) * 1e3:.0f} ms"),
    ]  # fmt: skip


def main() -> None:
    """Measure, print, and with full effort write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="for trying it out; writes nothing")
    effort = QUICK if parser.parse_args().quick else FULL
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin:6.0f} s  {text}", file=sys.stderr, flush=True)

    rows = [*measure(effort, say), *long_run(effort, say)]
    lines = ["| what | measured |", "| --- | ---: |"]
    lines += [f"| {what} | {value} |" for what, value in rows]
    table = "\n".join([*lines, "", describe((time.monotonic() - begin) / 60)])
    print(table)
    if effort is FULL:
        text = README.read_text()
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        README.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    main()
