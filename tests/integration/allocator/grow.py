"""Let one kind of mapping grow between the two looks of the inquiry, and print what it tells.

`python grow.py WHAT` prints one JSON object: what grew by the inquiry, the kind and the bytes that
are true, and the inquiry's longest step.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import sys
import tempfile
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.memory import MemoryConfig
from opentelemetry.instrumentation.memory._attribution import mappings as inquiry
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._probes import platform_probes
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20
# What keeps something alive, the kind that must have grown, by how many bytes and mappings.
Grown = tuple[Any, str, int, int | None]


def touch(block: mmap.mmap) -> mmap.mmap:
    for place in range(0, len(block), mmap.PAGESIZE):
        block[place] = 1
    return block


def malloc_heap() -> Grown:
    count, size = 60_000, 1000 - sys.getsizeof(b"")
    return [b"x" * size + b"" for _ in range(count)], "malloc heap", count * 1008, None


def malloc_arena() -> Grown:
    kept: list[list[bytearray]] = []
    done, end = threading.Event(), threading.Event()

    def work() -> None:
        kept.append([bytearray(b"x" * 2000) for _ in range(30_000)])
        done.set()
        end.wait()

    threading.Thread(target=work, daemon=True).start()
    done.wait()
    return (kept, end), "malloc arena", 30_000 * 2016, 1


def thread_stack() -> Grown:
    ready, end = threading.Barrier(21), threading.Event()

    def work() -> None:
        ready.wait()
        end.wait()

    for _ in range(20):
        threading.Thread(target=work, daemon=True).start()
    ready.wait()
    return end, "thread stack", 0, 20


def shared_memory() -> Grown:
    blocks = [touch(mmap.mmap(-1, 4 * MIB)) for _ in range(16)]
    return blocks, "shared memory", 64 * MIB, 16


def private_mmap() -> Grown:
    # The kernel joins neighbours of the same rights, so each ends with a page of other ones.
    mprotect = ctypes.CDLL(None).mprotect
    mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    blocks = []
    for _ in range(6):
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        block = touch(mmap.mmap(-1, 16 * MIB + mmap.PAGESIZE, flags=flags))
        start = ctypes.addressof(ctypes.c_char.from_buffer(block))
        assert mprotect(start + 16 * MIB, mmap.PAGESIZE, mmap.PROT_READ) == 0
        blocks.append(block)
    return blocks, "16 MiB anonymous", 96 * MIB, 6


def large_blocks() -> Grown:
    return [bytearray(b"x") * (40 * MIB) for _ in range(2)], "anonymous", 80 * MIB, None


def small_objects() -> Grown:
    # Floats take 24 bytes, so 32 of the object allocator's.
    count = 2_000_000
    held: list[float] = list(map(float, range(count)))
    return held, "object arena", count * 32, None


def mapped_file() -> Grown:
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        file.truncate(32 * MIB)
        block = mmap.mmap(file.fileno(), 32 * MIB)
        return (touch(block), os.getpid()), "deleted file", 32 * MIB, 1


WHAT: dict[str, Callable[[], Grown]] = {
    each.__name__: each
    for each in (
        malloc_heap, malloc_arena, thread_stack, shared_memory, private_mmap, large_blocks,
        small_objects, mapped_file,
    )
}  # fmt: skip


def main(what: str, largest_resident_bytes: int) -> None:
    inquiry.LARGEST_RESIDENT_BYTES = largest_resident_bytes  # type: ignore[misc]
    clock = SystemClock()
    sample = Sampler(MemoryConfig(), platform_probes(MemoryConfig()), clock).take()
    assert sample is not None
    steps = inquiry.MappingInquiry(clock).gather(Case(None, 0.0, sample))
    longest_seconds = 0.0
    grown: Grown | None = None
    while True:
        started = clock.thread_cpu()
        try:
            rest_seconds = next(steps)
        except StopIteration as end:
            found = end.value
            break
        finally:
            longest_seconds = max(longest_seconds, clock.thread_cpu() - started)
        if rest_seconds > 0:
            grown = WHAT[what]()
    assert grown is not None
    told = {
        "mappings": [asdict(each) for each in found.mappings],
        "skipped": [each.why for each in found.skipped],
        "kind": grown[1],
        "bytes": grown[2],
        "count": grown[3],
        "longest_step_seconds": longest_seconds,
    }
    sys.stdout.write(json.dumps(told))
    sys.stdout.flush()
    os._exit(0)  # threads may wait for ever


main(sys.argv[1], int(sys.argv[2]))
