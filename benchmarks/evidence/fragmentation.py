"""Fragment real processes, let them say what they keep, and try the advice out.

`python benchmarks/evidence/fragmentation.py` starts one process a case and prints what
docs/fragmentation.md shows.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.memory import MemoryConfig
from opentelemetry.instrumentation.memory._attribution.advice import advice
from opentelemetry.instrumentation.memory._attribution.allocator import AllocatorInquiry
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._probes import platform_probes
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
from opentelemetry.instrumentation.memory.evidence import Conclusion, Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.instrumentation.memory.evidence import Findings
    from opentelemetry.instrumentation.memory.model import MemorySample

_MIB = 2**20
_WORKERS = 12


def blocks(count: int, size: int) -> list[bytes]:
    """Return as many blocks that have no bytes in common."""
    return [b"x" * size + bytes([number % 256]) for number in range(count)]


def small_survivors() -> Any:
    """400 MB of blocks of 1 kB, of which every eighth is kept."""
    return blocks(400_000, 1000)[::8]


def large_survivors() -> Any:
    """400 MB of blocks of 20 kB, of which every eighth is kept."""
    return blocks(20_000, 20_000)[::8]


def pool() -> Any:
    """12 threads that each build 60 MB of blocks of 20 kB and keep every eighth."""
    kept: list[list[bytes]] = []
    ready, end = threading.Barrier(_WORKERS + 1), threading.Event()

    def work() -> None:
        kept.append(blocks(3000, 20_000)[::8])
        ready.wait()
        end.wait()

    for _ in range(_WORKERS):
        threading.Thread(target=work, daemon=True).start()
    ready.wait()
    return kept, end


def objects() -> Any:
    """8 million floats, of which every thousandth is kept."""
    return [float(number) for number in range(8_000_000)][::1000]


_CASES: dict[str, Callable[[], Any]] = {
    each.__name__: each for each in (small_survivors, large_survivors, pool, objects)
}


def measured(name: str) -> dict[str, Any]:
    """Fragment this process, and return what it tells before and after malloc_trim."""
    kept = _CASES[name]()
    clock = SystemClock()
    sample = taken(clock)
    case = Case("retained", 0.0, sample)
    found, cost_seconds, longest_seconds = asked(AllocatorInquiry(clock), case, clock)
    nothing = Conclusion("unsure", None, 0.0, "")
    evidence = Evidence("retained", None, 0.0, nothing, allocator=found.allocator)
    pieces = [each.text for each in advice(case, evidence, {})]
    started = time.perf_counter()
    ctypes.CDLL(None).malloc_trim(0)
    trim_seconds = time.perf_counter() - started
    return {
        "before": figures(sample),
        "advice": pieces,
        "inquiry_seconds": cost_seconds,
        "longest_step_seconds": longest_seconds,
        "trim_seconds": trim_seconds,
        "after": figures(taken(clock)),
        "kept": len(kept),
    }


def taken(clock: SystemClock) -> MemorySample:
    """Return a sample of this process."""
    sample = Sampler(MemoryConfig(), platform_probes(MemoryConfig()), clock).take()
    if sample is None:
        raise SystemExit("no sample can be taken here")
    return sample


def asked(
    inquiry: AllocatorInquiry, case: Case, clock: SystemClock
) -> tuple[Findings, float, float]:
    """Return what the inquiry finds, its CPU time, and that of its longest step."""
    answers: list[Findings] = []

    def steps() -> Iterator[float]:
        answers.append((yield from inquiry.gather(case)))

    began = started = clock.thread_cpu()
    longest_seconds = 0.0
    for _ in steps():
        ended = clock.thread_cpu()
        longest_seconds = max(longest_seconds, ended - started)
        started = ended
    ended = clock.thread_cpu()
    return answers[0], ended - began, max(longest_seconds, ended - started)


def figures(sample: MemorySample) -> dict[str, float]:
    """Return the resident set and its segments in MiB."""
    segments = {name: size / _MIB for name, size in sample.partition.present()}
    return {"resident": (sample.resident_bytes or 0) / _MIB, **segments}


def show(name: str, environment: Mapping[str, str]) -> None:
    """Run one case in a process of its own, and print it."""
    child = subprocess.run(
        [sys.executable, __file__, name],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
        text=True,
    )
    told = json.loads(child.stdout)
    setting = " ".join(f"{key}={value}" for key, value in environment.items())
    print(f"\n{name}  {setting}".rstrip())
    for moment in ("before", "after"):
        row = told[moment]
        parts = ("resident", "python_heap", "native_heap", "retained")
        print(f"  {moment:<7}" + "  ".join(f"{part} {row[part]:6.1f} MiB" for part in parts))
    for piece in told["advice"]:
        print(f"  - {piece}")
    print(
        f"  asking took {told['inquiry_seconds'] * 1000:.1f} ms of CPU, its longest step "
        f"{told['longest_step_seconds'] * 1000:.1f} ms; malloc_trim(0) took "
        f"{told['trim_seconds'] * 1000:.0f} ms"
    )


def main() -> None:
    """Print every case, or be the process of one."""
    if len(sys.argv) > 1:
        json.dump(measured(sys.argv[1]), sys.stdout)
        return
    show("small_survivors", {})
    show("large_survivors", {})
    show("pool", {})
    show("pool", {"MALLOC_ARENA_MAX": "2"})
    show("objects", {})


if __name__ == "__main__":
    main()
