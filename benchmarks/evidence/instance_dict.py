"""Measure full collections before and after one instance was asked for its `__dict__`.

    python benchmarks/evidence/instance_dict.py [CLOSURES]

All closures are reached through one attribute of one instance. From CPython 3.11 on that attribute
is kept without a dictionary until somebody asks for one, as `vars` does.
"""

from __future__ import annotations

import gc
import platform
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

COLLECTIONS: Final = 5
TOPICS: Final = 5


class Bus:
    """Holds its listeners by topic, as an attribute."""

    def __init__(self) -> None:
        self.listeners: list[list[Callable[[str], int]]] = [[] for _ in range(TOPICS)]

    def connect(self, reader: int) -> None:
        """Add a closure with a list of its own."""
        unread = [f"{reader}/{index}" for index in range(4)]

        def on_article(text: str) -> int:
            unread[reader % 4] = text
            return len(unread)

        self.listeners[reader % TOPICS].append(on_article)


def collections() -> str:
    """Return the CPU time of some full collections."""
    milliseconds = []
    for _ in range(COLLECTIONS):
        began = time.thread_time()
        gc.collect()
        milliseconds.append((time.thread_time() - began) * 1e3)
    return f"{min(milliseconds):.0f} to {max(milliseconds):.0f} ms"


def main() -> None:
    """Print both."""
    bus = Bus()
    for reader in range(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000):
        bus.connect(reader)
    before = collections()
    vars(bus)
    print(
        f"CPython {platform.python_version()}: a full collection of {len(gc.get_objects()):,} "
        f"objects takes {before}, after vars() of one instance {collections()}"
    )


if __name__ == "__main__":
    main()
