"""Measure what one list of all objects costs, and how a full collection foretells it.

    python benchmarks/evidence/listing_cost.py [OBJECTS]

A heap whose objects lie in memory in the order in which they were made, and one whose objects have
taken the places of others that were freed at random, as after a long time of coming and going.
"""

from __future__ import annotations

import gc
import platform
import random
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Order:
    """Two objects more that the collector knows."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.notes: dict[str, Any] = {"lines": self.lines}


def seconds(do: Callable[[], object]) -> float:
    """Return the CPU time of one call."""
    began = time.thread_time()
    do()
    return time.thread_time() - began


def measure(objects: int, *, is_churned: bool) -> str:
    """Return a line about a heap of so many objects."""
    gc.disable()
    count = objects // 3
    orders = [Order() for _ in range(count * (2 if is_churned else 1))]
    if is_churned:
        random.Random(1).shuffle(orders)  # noqa: S311 - no cryptography
        del orders[count:]
        orders += [Order() for _ in range(count)]
        del orders[:count]
    gc.enable()
    gc.collect()
    collection = seconds(gc.collect)
    listed = len(gc.get_objects())
    listing = min(seconds(gc.get_objects) for _ in range(3))
    referrers = min(seconds(lambda: gc.get_referrers(orders[0])) for _ in range(3))
    return (
        f"{'churned' if is_churned else 'in order'}: {listed:,} objects, list "
        f"{listing * 1e3:.1f} ms ({listing / listed * 1e9:.0f} ns an object), referrers of one "
        f"{referrers * 1e3:.1f} ms, full collection {collection * 1e3:.1f} ms "
        f"({collection / listing:.1f} times the list)"
    )


def main() -> None:
    """Print both."""
    objects = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"{platform.python_implementation()} {platform.python_version()}")
    for is_churned in (False, True):
        print(measure(objects, is_churned=is_churned))


if __name__ == "__main__":
    main()
