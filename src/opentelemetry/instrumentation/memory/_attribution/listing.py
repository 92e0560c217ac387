"""The list of all objects: the one thing that cannot be done in steps, and how long it will take.

An object costs 16 to 39 ns where objects lie in memory in the order in which they were made, and 68
to 182 ns after long coming and going, when each has to be fetched from far away. A full
collection goes through the same objects and takes 4.4 to 6.8 times as long (CPython 3.10 to 3.13,
printed by `benchmarks/evidence/listing_cost.py`), so one that the application runs anyway tells
beforehand.
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.collections import FullCollections
from opentelemetry.instrumentation.memory._attribution.cycles import why_nothing_is_collected
from opentelemetry.instrumentation.memory._attribution.holding import made

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from opentelemetry.instrumentation.memory._sampling.clock import Clock

LONGEST_PAUSE_SECONDS: Final = 0.05
"""For how long a list may stop the process, unless a setting allows more."""

# What is expected may be wrong by this much.
_MARGIN: Final = 0.8
# Objects are fewer than half of the blocks as a rule: a list takes 92 ns a block at worst. A heap
# of hardly anything but objects that have come and gone for long would take 182 ns. Fewer would
# leave most services without a census until a full collection comes by.
_BLOCKS_PER_SECOND: Final = 10_000_000
_COLLECTION_PER_LIST: Final = 4.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_WAIT_SECONDS: Final = 0.5


class ObjectLists:
    """Makes lists of all objects, as long as they can be made quickly.

    Entered, it listens to the garbage collector.

    Args:
        clock: What a list's cost is measured by.
        longest_pause_seconds: For how long a list may stop the process.
    """

    def __init__(self, clock: Clock, longest_pause_seconds: float = LONGEST_PAUSE_SECONDS) -> None:
        self._clock = clock
        self._longest_pause_seconds = longest_pause_seconds
        self._most_blocks = round(longest_pause_seconds * _BLOCKS_PER_SECOND)
        self._collections = FullCollections(clock)
        self._measured: tuple[float, int] | None = None

    def __enter__(self) -> ObjectLists:  # noqa: PYI034 - Self needs 3.11
        self._collections.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._collections.__exit__()

    def learn(self) -> Generator[float, None, None]:
        """Wait until it can be told how long a list takes; a minute at most."""
        waited = 0.0
        while (
            self.expected_seconds() is None
            and sys.getallocatedblocks() > self._most_blocks
            and why_nothing_is_collected() is None
            and waited < _LONGEST_WAIT_SECONDS
        ):
            yield _WAIT_SECONDS
            waited += _WAIT_SECONDS

    def expected_seconds(self) -> float | None:
        """Return how long the next list will take, or None when nothing tells."""
        if self._measured is not None:
            seconds, blocks = self._measured
            return seconds * sys.getallocatedblocks() / max(blocks, 1)
        seconds = self._collections.seconds
        return seconds / _COLLECTION_PER_LIST if seconds else None

    def why_not(self, share: float = 1.0) -> str | None:
        """Return why no list is to be made, in words, or None where it may be.

        Args:
            share: The part of the longest pause that the list may take.
        """
        setting = f"evidence_pause_seconds is {self._longest_pause_seconds:g}"
        seconds = self.expected_seconds()
        if seconds is None:
            if sys.getallocatedblocks() <= self._most_blocks:
                return None
            return (
                f"more than {self._most_blocks:,} blocks are in use, no full collection has told "
                f"how long the list of all objects would stall the process, and {setting}"
            )
        if seconds <= self._longest_pause_seconds * _MARGIN * share:
            return None
        told = f"the list of all objects would stall the process for {seconds * 1e3:.0f} ms"
        return f"{told}, and {setting}"

    @contextmanager
    def take(self) -> Iterator[list[Any]]:
        """Hold all objects that the garbage collector knows, the oldest generation's last."""
        blocks = sys.getallocatedblocks()
        began = self._clock.thread_cpu()
        with made(gc.get_objects) as objects:
            self._measured = (self._clock.thread_cpu() - began, blocks)
            yield objects
