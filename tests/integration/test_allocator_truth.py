"""Real processes: what an inquiry says of mappings and malloc, beside what is true."""

from __future__ import annotations

import functools
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "allocator"
MIB = 2**20
# The estimate of what malloc_trim gives back, as a part of what malloc holds free.
TOLERANCE = 0.1

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc",
    reason="what is measured here is glibc's malloc, on Linux",
)


@functools.cache
def outcome(program: str, *arguments: str) -> dict[str, Any]:
    child = subprocess.run(
        [sys.executable, PROGRAMS / program, *arguments],
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    told: dict[str, Any] = json.loads(child.stdout)
    return told


def given_back(told: dict[str, Any]) -> int:
    """Return what malloc_trim(0) gave back, by the resident set."""
    return int(told["rss_before"] - told["rss_after"])


@pytest.mark.parametrize(
    "pattern",
    ["every_eighth", "random_survivors", "busy_heap", "free_top", "threads", "trimmed_before",
     "clean"],
)  # fmt: skip
def test_estimate_of_what_malloc_trim_gives_back_is_true(pattern: str) -> None:
    told = outcome("trim.py", pattern)
    state = told["state"]
    tolerance = max(TOLERANCE * state["free_bytes"], 2 * MIB)
    assert state["trimmable_bytes"] == pytest.approx(given_back(told), abs=tolerance)


@pytest.mark.parametrize("pattern", ["every_eighth", "random_survivors", "busy_heap", "free_top"])
def test_estimate_is_within_15_percent_of_what_is_given_back(pattern: str) -> None:
    told = outcome("trim.py", pattern)
    assert told["state"]["trimmable_bytes"] == pytest.approx(given_back(told), rel=0.15)


def test_arenas_of_threads_that_are_gone_are_counted() -> None:
    state = outcome("trim.py", "threads")["state"]
    assert (state["arenas"], state["threads"]) == (9, 1)
    assert 0 < state["spare_arenas_free_bytes"] < state["free_bytes"]


def test_free_end_of_the_heap_is_told() -> None:
    told = outcome("trim.py", "free_top")
    assert told["state"]["top_bytes"] == pytest.approx(given_back(told), rel=0.05)


def test_what_somebody_else_has_trimmed_is_told() -> None:
    told = outcome("trim.py", "trimmed_before")
    # Of the same process: two of them have not always the same memory free.
    expected = pytest.approx(told["trimmed_bytes"], rel=TOLERANCE)
    assert told["state"]["given_back_bytes"] == expected


def test_what_was_trimmed_is_retained_too_much_at_the_cost_of_other_memory() -> None:
    told = outcome("trim.py", "trimmed_beside_a_map")
    given_back_bytes = told["state"]["given_back_bytes"]
    missing = 150 * MIB - told["segments"]["other_anonymous"]
    assert missing == pytest.approx(min(given_back_bytes, 150 * MIB), abs=5 * MIB)


GROWING = [
    "malloc_heap", "malloc_arena", "shared_memory", "private_mmap", "large_blocks", "small_objects",
    "mapped_file",
]  # fmt: skip
# By smaps, and by maps with pagemap, as large processes are read.
each_reading = pytest.mark.parametrize("largest_resident", [2**40, 0], ids=["smaps", "pagemap"])


def growth(told: dict[str, Any]) -> tuple[int, int]:
    """Return the bytes and the mappings by which the kind grew that did."""
    [found] = [each for each in told["mappings"] if each["mapping"] == told["kind"]]
    return (
        found["bytes_after"] - found["bytes_before"],
        found["count_after"] - found["count_before"],
    )


@each_reading
@pytest.mark.parametrize("what", GROWING)
def test_kind_that_grew_most_comes_first(what: str, largest_resident: int) -> None:
    told = outcome("grow.py", what, str(largest_resident))
    assert told["mappings"][0]["mapping"] == told["kind"]


@each_reading
@pytest.mark.parametrize("what", GROWING)
def test_kind_grew_by_the_bytes_held(what: str, largest_resident: int) -> None:
    told = outcome("grow.py", what, str(largest_resident))
    assert growth(told)[0] == pytest.approx(told["bytes"], rel=0.05)


@each_reading
@pytest.mark.parametrize("what", ["shared_memory", "private_mmap", "thread_stack", "mapped_file"])
def test_mappings_that_came_are_counted(what: str, largest_resident: int) -> None:
    told = outcome("grow.py", what, str(largest_resident))
    assert growth(told)[1] == told["count"]
