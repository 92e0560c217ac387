"""Forks many times, at random moments, while metrics are collected; one line for each child.

Each child holds memory of its own, collects at once, and reports what it got through a pipe.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import threading
import time
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from opentelemetry.instrumentation.memory import MemoryInstrumentor
from opentelemetry.instrumentation.memory._sampling.thread import THREAD_NAME

CHILDREN = 100
PATIENCE_SECONDS = 20
MIB = 2**20

reader = InMemoryMetricReader()
is_over = threading.Event()


def collected() -> dict[str, list[float]]:
    found = reader.get_metrics_data()
    metrics = found.resource_metrics[0].scope_metrics[0].metrics if found else []
    return {each.name: [point.value for point in each.data.data_points] for each in metrics}


def collect_often(seed: int) -> None:
    pauses = random.Random(seed)  # noqa: S311 - to be repeated, not guessed
    while not is_over.wait(pauses.uniform(0, 0.02)):
        reader.collect()


def be_busy() -> None:
    while not is_over.is_set():
        sum(range(1000))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def report(number: int, pipe: int) -> None:
    held = bytearray(b"x") * ((5 + number % 20) * MIB)
    before = resident_bytes()
    metrics = collected()
    os.write(
        pipe,
        json.dumps(
            {
                "pid": os.getpid(),
                "held": len(held),
                "resident": [before, resident_bytes()],
                "usage": metrics.get("process.memory.usage"),
                "segments": metrics.get("process.memory.resident"),
                "threads": [t.name for t in threading.enumerate()].count(THREAD_NAME),
            }
        ).encode(),
    )


def fork_and_listen(number: int) -> str:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            report(number, writing)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        has_spoken, _, _ = select.select([reading], [], [], PATIENCE_SECONDS)
        return os.read(reading, 65536).decode() if has_spoken else '{"silent": true}'
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)


if __name__ == "__main__":
    has_background = sys.argv[1] == "thread"
    provider = MeterProvider([reader])
    MemoryInstrumentor().instrument(meter_provider=provider, background_sampling=has_background)
    threads = [
        threading.Thread(target=collect_often, args=(7,)),
        threading.Thread(target=be_busy),
    ]
    for thread in threads:
        thread.start()
    moments = random.Random(11)  # noqa: S311 - as above
    try:
        for number in range(CHILDREN):
            time.sleep(moments.uniform(0, 0.02))
            print(fork_and_listen(number), flush=True)  # noqa: T201 - the answer
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
