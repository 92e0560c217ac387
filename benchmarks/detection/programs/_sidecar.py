"""What every recorded program shares: a thread that writes its own view of memory, and a clock.

The thread writes one CSV row each 0.25 s: bytes in live blocks and in arenas of the object
allocator (`sys._debugmallocstats`), bytes in use in the C heap (`psutil.heap_info`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

USED = re.compile(rb"# bytes in allocated blocks\s*=\s*([\d,]+)")
ARENAS = re.compile(rb"arenas \* \d+ bytes/arena\s*=\s*([\d,]+)")
EVERY_SECONDS = 0.25


class Run:
    """One recorded run; `mark_leak()` says when the program begins to lose memory."""

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--inside", type=Path, required=True)
        parser.add_argument("--duration", type=float, required=True)
        parser.add_argument("--seed", type=int, required=True)
        options = parser.parse_args()
        self.random = random.Random(options.seed)  # noqa: S311  not a secret
        self._inside: Path = options.inside
        self._duration: float = options.duration
        self._begin = time.monotonic()
        self._is_marked = False
        self._stats = os.memfd_create("mallocstats")
        os.dup2(self._stats, 2)
        threading.Thread(target=self._watch, daemon=True).start()

    def seconds(self) -> float:
        """Return seconds since the program began."""
        return time.monotonic() - self._begin

    def ticks(self, period: float) -> Iterator[float]:
        """Yield the seconds since the beginning, every `period` seconds until the end."""
        due = time.monotonic()
        while self.seconds() < self._duration:
            yield self.seconds()
            due = max(due + period, time.monotonic() - period)
            time.sleep(max(0.0, due - time.monotonic()))

    def mark_leak(self) -> None:
        """Note the first moment at which memory is lost."""
        if not self._is_marked:
            self._is_marked = True
            self._inside.with_suffix(".mark").write_text(str(time.monotonic()))

    def request(self, size: int = 40) -> int:
        """Do what one request does and leave nothing: build, serialise and drop small objects."""
        count = self.random.randint(size // 2, size)
        body = {f"k{i}": [self.random.random() for _ in range(5)] for i in range(count)}
        return len(json.loads(json.dumps(body)))

    def _watch(self) -> None:
        with self._inside.open("w", buffering=1) as out:
            out.write("clock,heap_used,heap_committed,native_used\n")
            due = time.monotonic()
            while True:
                used, arenas = self._object_allocator()
                heap = psutil.heap_info()
                native = heap.heap_used + heap.mmap_used
                out.write(f"{time.monotonic():.3f},{used},{arenas},{native}\n")
                due += EVERY_SECONDS
                time.sleep(max(0.01, due - time.monotonic()))

    def _object_allocator(self) -> tuple[int, int]:
        os.lseek(self._stats, 0, 0)
        os.ftruncate(self._stats, 0)
        sys._debugmallocstats()  # noqa: SLF001  nothing public tells it
        os.lseek(self._stats, 0, 0)
        text = os.read(self._stats, 1 << 16)
        used, arenas = USED.search(text), ARENAS.search(text)
        if used is None or arenas is None:
            return 0, 0
        return int(used[1].replace(b",", b"")), int(arenas[1].replace(b",", b""))
