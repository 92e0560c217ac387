"""Fragment malloc's heap in a known way, say what the inquiry sees, then call malloc_trim(0).

`python trim.py PATTERN` prints one JSON object: the state by the inquiry, the resident set before
and after, and what the inquiry's reads cost.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import random
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.memory import MemoryConfig
from opentelemetry.instrumentation.memory._attribution.allocator import AllocatorInquiry
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._probes import platform_probes
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory.evidence import Findings

C = ctypes.CDLL(None)
M_TRIM_THRESHOLD = -1
# What a pattern has itself made malloc give back, by the resident set.
TRIMMED_BYTES: list[int] = []


def blocks(count: int, size: int) -> list[bytes]:
    return [b"x" * size + bytes([index % 256]) for index in range(count)]


def every_eighth() -> Any:
    """Of 400 MB of blocks of 1 kB keep every eighth."""
    return blocks(400_000, 1000)[::8]


def random_survivors() -> Any:
    """Of blocks of several sizes keep 30 % at random."""
    dice = random.Random(1)  # noqa: S311 - the same each time
    mixed = [b"x" * dice.randrange(600, 3000) for _ in range(100_000)]
    return [block for block in mixed if dice.random() < 0.3]


def busy_heap() -> Any:
    """Replace blocks for long, drop most of them, and go on: malloc has sorted its chunks."""
    dice = random.Random(1)  # noqa: S311 - the same each time
    mixed = [b"x" * dice.randrange(600, 3000) for _ in range(100_000)]
    for _ in range(200_000):
        mixed[dice.randrange(len(mixed))] = b"x" * (int(dice.expovariate(1 / 3000)) + 600)
    kept = [block for block in mixed if dice.random() < 0.4]
    for _ in range(20_000):
        kept[dice.randrange(len(kept))] = b"x" * (int(dice.expovariate(1 / 3000)) + 600)
    return kept


def free_top() -> Any:
    """Free 200 MB at the end of the heap, which malloc was told to keep."""
    C.mallopt(M_TRIM_THRESHOLD, 2**30)
    peak = blocks(200_000, 1000)
    del peak[:]
    return peak


def threads() -> Any:
    """Keep every eighth block of eight threads that each had an arena of its own."""
    kept: list[list[bytes]] = []
    ready = threading.Barrier(8)

    def work() -> None:
        ready.wait()
        kept.append(blocks(40_000, 1500)[::8])

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return kept


def trimmed_before() -> Any:
    """Fragmented, and then somebody else has called malloc_trim."""
    kept = every_eighth()
    before = rss()
    C.malloc_trim(0)
    TRIMMED_BYTES.append(before - rss())
    return kept


def trimmed_beside_a_map() -> Any:
    """The same, with 150 MiB of another kind beside it."""
    block = mmap.mmap(-1, 150 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for place in range(0, len(block), mmap.PAGESIZE):
        block[place] = 1
    return [trimmed_before(), block]


def clean() -> Any:
    """Hold 100 MB, all of it live."""
    return blocks(100_000, 1000)


PATTERNS: dict[str, Callable[[], Any]] = {
    each.__name__: each
    for each in (
        every_eighth, random_survivors, busy_heap, free_top, threads, trimmed_before,
        trimmed_beside_a_map, clean,
    )
}  # fmt: skip


def looked(clock: SystemClock, case: Case) -> tuple[Findings, float]:
    """Return what the inquiry finds, and its longest step."""
    steps = AllocatorInquiry(clock).gather(case)
    longest = 0.0
    while True:
        started = clock.thread_cpu()
        try:
            next(steps)
        except StopIteration as end:
            return end.value, max(longest, clock.thread_cpu() - started)
        longest = max(longest, clock.thread_cpu() - started)


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main(pattern: str) -> None:
    kept = PATTERNS[pattern]()
    gc.collect()
    clock = SystemClock()
    sample = Sampler(MemoryConfig(), platform_probes(MemoryConfig()), clock).take()
    assert sample is not None
    found, longest_seconds = looked(clock, Case("retained", 0.0, sample))
    assert found.allocator is not None, found
    before = rss()
    started = clock.thread_cpu()
    C.malloc_trim(0)
    trim_seconds = clock.thread_cpu() - started
    after = rss()
    told = {
        "state": asdict(found.allocator),
        "skipped": [each.why for each in found.skipped],
        "segments": dict(sample.partition.present()),
        "rss_before": before,
        "rss_after": after,
        "longest_step_seconds": longest_seconds,
        "trim_seconds": trim_seconds,
        "trimmed_bytes": sum(TRIMMED_BYTES),
        "kept": len(kept),
    }
    sys.stdout.write(json.dumps(told))


main(sys.argv[1])
