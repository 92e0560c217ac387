"""Puts a process into a known state: so many live bytes, so many free chunks."""

from __future__ import annotations

import ctypes
import random
from typing import Final

# From the smallest size class of the object allocator to nearly its largest.
_SMALL_OBJECT_SIZES: Final = range(8, 440, 24)
_CHUNK_SIZES: Final = range(24, 500)
_BEYOND_EVERY_BIN: Final = 100_000


def small_objects(total_bytes: int) -> list[bytes]:
    """Return this many bytes (about) of objects that CPython's own allocator serves."""
    overhead = bytes.__basicsize__
    each_round = sum(size + overhead for size in _SMALL_OBJECT_SIZES)
    rounds = total_bytes // each_round
    # bytes(size) makes a new object each time.
    return [bytes(size) for _ in range(rounds) for size in _SMALL_OBJECT_SIZES]


def free_chunks(count: int) -> int:
    """Leave this many free chunks of mixed sizes in malloc's bins; return the bytes still live.

    Every second block is freed, so that no two free ones can merge, and in random order, so that
    walking a bin jumps about in memory as it does in an old process. A few requests that fit no bin
    then make malloc sort what was freed.
    """
    library = ctypes.PyDLL(None)
    malloc, free = library.malloc, library.free
    malloc.restype = ctypes.c_void_p
    malloc.argtypes = (ctypes.c_size_t,)
    free.argtypes = (ctypes.c_void_p,)
    free.restype = None
    dice = random.Random(1)  # noqa: S311 - reproducible, not secret
    sizes = dice.choices(_CHUNK_SIZES, k=2 * count)
    blocks = [malloc(size) for size in sizes]
    freed = blocks[::2]
    dice.shuffle(freed)
    for block in freed:
        free(block)
    # One request sorts up to 10,000 chunks (MAX_ITERS in glibc's malloc.c).
    for block in [malloc(_BEYOND_EVERY_BIN) for _ in range(count // 5_000)]:
        free(block)
    return sum(sizes[1::2])
