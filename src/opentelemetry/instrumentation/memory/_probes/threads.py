"""How many threads the process has, by the kernel's count: also those that C started."""

from __future__ import annotations

import re
from typing import Final

from opentelemetry.instrumentation.memory._probes.files import read_small_file

_THREADS: Final = re.compile(rb"^Threads:\s*(\d{1,9})$", re.MULTILINE)


def thread_count(path: str = "/proc/self/status") -> int | None:
    """Return the number of threads, or None where the kernel does not tell it."""
    try:
        match = _THREADS.search(read_small_file(path))
    except OSError:
        return None
    return None if match is None else int(match[1])
