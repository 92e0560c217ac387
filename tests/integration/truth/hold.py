"""Hold a known number of bytes, and print where this package sees them and where they must be.

`python hold.py WORKLOAD` prints one JSON object. The truth is counted here: how many blocks, and
how large a block is by `sys.getsizeof` and the documented rounding of its allocator.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opentelemetry.instrumentation.memory import MemoryConfig
from opentelemetry.instrumentation.memory._probes import platform_probes
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory import MemorySample

# What a workload returns: what must stay alive, and the bytes by segment that it must grow by.
Held = tuple[Any, dict[str, int]]

MIB = 2**20
PAGE_BYTES = mmap.PAGESIZE
KIB_PAYLOAD = 1024 - sys.getsizeof(b"")
MIB_PAYLOAD = MIB - sys.getsizeof(b"")


def in_blocks_of(alignment: int, size: int) -> int:
    return -(-size // alignment) * alignment


def malloc_block(size: int) -> int:
    """Return what glibc takes for a block: its size, 8 bytes of bookkeeping, in steps of 16."""
    return in_blocks_of(16, size + 8)


def pymalloc_block(size: int) -> int:
    return in_blocks_of(16, size)


def list_of(length: int) -> list[Any]:
    """Return a list that never has to grow, so that its storage is one block."""
    return [None] * length


def small_objects() -> Held:
    count = 3_000_000
    held = list_of(count)
    for index in range(count):
        held[index] = float(index)
    return held, {
        "python_heap": count * pymalloc_block(sys.getsizeof(1.0)),
        "native_heap": malloc_block(8 * count),
    }


def small_objects_by_malloc() -> Held:
    held, _ = small_objects()
    each = malloc_block(sys.getsizeof(1.0))
    return held, {"native_heap": len(held) * each + malloc_block(8 * len(held))}


def bytes_of_1_kib() -> Held:
    count = 120_000
    held = list_of(count)
    for index in range(count):
        held[index] = b"x" * KIB_PAYLOAD
    each = malloc_block(sys.getsizeof(held[0]))
    return held, {"native_heap": count * each + malloc_block(8 * count)}


def bytes_of_1_mib() -> Held:
    count = 150
    return [b"x" * MIB_PAYLOAD for _ in range(count)], {"native_heap": count * MIB}


def dicts() -> Held:
    count = 800_000
    held = list_of(count)
    for index in range(count):
        held[index] = {"id": index % 100, "name": "a", "price": 1.5, "stock": 3, "shop": "b"}
    # A dict is two blocks: the object with the collector's header, and its table.
    head = pymalloc_block(sys.getsizeof({}))
    table = pymalloc_block(sys.getsizeof(held[0]) - head)
    return held, {"python_heap": count * (head + table), "native_heap": malloc_block(8 * count)}


def numpy_array() -> Held:
    return np.ones(150 * MIB // 8), {"native_heap": 150 * MIB}


def numpy_untouched() -> Held:
    return np.zeros(400 * MIB // 8), {"held": 400 * MIB}


def malloc_untouched() -> Held:
    block = libc_malloc(400 * MIB)
    return block, {"held": 400 * MIB}


def malloc_half_touched() -> Held:
    block = libc_malloc(300 * MIB)
    ctypes.memset(block, 1, 150 * MIB)
    return block, {"native_heap": 150 * MIB}


def libc_malloc(size: int) -> int:
    malloc = ctypes.CDLL(None).malloc
    malloc.argtypes, malloc.restype = (ctypes.c_size_t,), ctypes.c_void_p
    return int(malloc(size))


def malloc_blocks() -> Held:
    count, size = 2400, 64 * 1024
    held = [libc_malloc(size) for _ in range(count)]
    for block in held:
        ctypes.memset(block, 1, size)
    return held, {"native_heap": count * malloc_block(size)}


def touched(mapping: mmap.mmap) -> mmap.mmap:
    for offset in range(0, len(mapping), PAGE_BYTES):
        mapping[offset] = 1
    return mapping


def direct_mmap() -> Held:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    return touched(mmap.mmap(-1, 150 * MIB, flags=flags)), {"other_anonymous": 150 * MIB}


def shared_memory() -> Held:
    flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS
    return touched(mmap.mmap(-1, 150 * MIB, flags=flags)), {"shared": 150 * MIB}


def mapped_file() -> Held:
    # Not in the folder for temporary files, which may be memory itself.
    with tempfile.TemporaryFile(dir=Path(__file__).parent) as file:
        for _ in range(100):
            file.write(b"x" * MIB)
        file.flush()
        held = mmap.mmap(file.fileno(), 100 * MIB, access=mmap.ACCESS_READ)
    pages = sum(held[offset] for offset in range(0, len(held), PAGE_BYTES))
    return (held, pages), {"file": 100 * MIB}


def fragmented_malloc() -> Held:
    held, truth = bytes_of_1_kib()
    freed = 0
    for index in range(len(held)):
        if index % 8:
            freed += malloc_block(sys.getsizeof(held[index]))
            held[index] = None
    return held, {"native_heap": truth["native_heap"] - freed, "retained": freed}


def fragmented_objects() -> Held:
    held, truth = small_objects()
    for index in range(len(held)):
        if index % 8:
            held[index] = None
    live = truth["python_heap"] // 8
    return held, {**truth, "python_heap": live, "retained": truth["python_heap"] - live}


def threads() -> Held:
    """Hold 4 MiB of blocks and 2 MiB of touched stack in each of many threads."""
    count, blocks = 24, 4096
    stack_bytes = 2 * MIB
    done = threading.Event()
    ready = threading.Barrier(count + 1)
    held: list[Any] = [None] * count

    def run(index: int) -> None:
        touch_own_stack(stack_bytes)
        kept = list_of(blocks)
        for number in range(blocks):
            kept[number] = b"x" * KIB_PAYLOAD
        held[index] = kept
        ready.wait()
        done.wait()

    threading.stack_size(8 * MIB)
    for index in range(count):
        threading.Thread(target=run, args=(index,), daemon=True).start()
    ready.wait()
    return (held, done), {
        "native_heap": count * (blocks * malloc_block(1024) + malloc_block(8 * blocks)),
        "other_anonymous": count * stack_bytes,
    }


def touch_own_stack(size: int) -> None:
    """Touch this many bytes at the far end of the calling thread's stack."""
    c = ctypes.CDLL(None)
    c.pthread_self.restype = ctypes.c_void_p
    c.pthread_getattr_np.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    attributes = ctypes.create_string_buffer(64)
    address, length = ctypes.c_void_p(), ctypes.c_size_t()
    c.pthread_getattr_np(c.pthread_self(), attributes)
    c.pthread_attr_getstack(attributes, ctypes.byref(address), ctypes.byref(length))
    c.pthread_attr_destroy(attributes)
    ctypes.memset(address.value + MIB, 1, size)


WORKLOADS: dict[str, Callable[[], Held]] = {
    each.__name__: each
    for each in (
        small_objects,
        small_objects_by_malloc,
        bytes_of_1_kib,
        bytes_of_1_mib,
        dicts,
        numpy_array,
        numpy_untouched,
        malloc_untouched,
        malloc_half_touched,
        malloc_blocks,
        direct_mmap,
        shared_memory,
        mapped_file,
        fragmented_malloc,
        fragmented_objects,
        threads,
    )
}

sampler = Sampler(MemoryConfig(budget_percent=100), platform_probes(), SystemClock())


def measure() -> MemorySample:
    """Return a sample of which no part is older than this call."""
    gc.collect()
    while True:
        sample = sampler.take()
        if sample is None:
            raise SystemExit("no sample")
        if not (sample.python_heap_age_seconds or sample.native_heap_age_seconds):
            return sample


def by_segment(sample: MemorySample) -> dict[str, Any]:
    return {"resident": sample.resident_bytes, "segments": dict(sample.partition.present())}


def smaps_rollup() -> dict[str, int]:
    """Return the kernel's own, dear account of this process; empty where it keeps none."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def main() -> None:
    measure()
    before = measure()
    held, truth = WORKLOADS[sys.argv[1]]()
    after = measure()
    result = {
        "before": by_segment(before),
        "after": by_segment(after),
        "smaps_rollup": smaps_rollup(),
        "held": truth.pop("held", None) or sum(truth.values()),
        "truth": truth,
    }
    json.dump(result, sys.stdout)
    sys.stdout.flush()
    del held


if __name__ == "__main__":
    main()
