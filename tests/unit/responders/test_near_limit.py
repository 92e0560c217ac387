from __future__ import annotations

from opentelemetry.instrumentation.memory.model import MemorySample
from opentelemetry.instrumentation.memory.responders.near_limit import NearLimit


def used(percent: float | None, by_all: float | None = None) -> MemorySample:
    """Return a sample of a process that uses that much of a limit."""
    return MemorySample(
        taken_at_seconds=0.0,
        pid=1,
        resident_bytes=None if percent is None else int(percent * 10_000),
        limit_bytes=None if percent is None else 1_000_000,
        limit_usage_bytes=None if by_all is None else int(by_all * 10_000),
    )


def crossings(*percents: float | None) -> list[bool]:
    near_limit = NearLimit()
    return [near_limit.is_crossed(used(each)) for each in percents]


def test_crossing_is_told_once() -> None:
    assert crossings(50, 89.9, 90, 95, 99) == [False, False, True, False, False]


def test_process_that_begins_near_the_limit_is_told() -> None:
    assert crossings(93) == [True]


def test_falling_a_little_and_rising_again_is_the_same_crossing() -> None:
    assert crossings(91, 80, 91) == [True, False, False]


def test_falling_far_and_rising_again_is_another_one() -> None:
    assert crossings(91, 79.9, 85, 91) == [True, False, False, True]


def test_limit_that_is_unknown_for_a_moment_changes_nothing() -> None:
    assert crossings(91, None, 92) == [True, False, False]


def test_without_a_limit_nothing_is_near() -> None:
    assert crossings(None, None) == [False, False]


def test_what_others_use_of_a_shared_limit_counts() -> None:
    assert NearLimit().is_crossed(used(24, by_all=96))
