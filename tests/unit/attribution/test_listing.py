"""Whether all objects may be listed, by what is known of how long that takes."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

import pytest

from opentelemetry.instrumentation.memory._attribution import listing
from opentelemetry.instrumentation.memory._attribution.listing import ObjectLists
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator


class SteppingClock(SystemClock):
    """Each reading of the thread's CPU time is later by as much."""

    def __init__(self, step_seconds: float) -> None:
        super().__init__()
        self.step_seconds = step_seconds
        self.seconds = 0.0

    def thread_cpu(self) -> float:
        self.seconds += self.step_seconds
        return self.seconds


@pytest.fixture(autouse=True)
def _collector_is_on() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was_enabled else gc.disable)()


def collected(seconds: float, longest_pause_seconds: float = 0.05) -> ObjectLists:
    """Return lists that have heard of a full collection of this length."""
    lists = ObjectLists(SteppingClock(seconds), longest_pause_seconds)
    with lists:
        gc.collect()
    return lists


def test_small_heap_is_listed_without_further_ado(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_BLOCKS_PER_SECOND", 1e12)
    lists = ObjectLists(SystemClock())
    assert list(lists.learn()) == []
    assert lists.why_not() is None


def test_large_heap_is_not_listed_before_a_full_collection_has_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "_BLOCKS_PER_SECOND", 0)
    why = ObjectLists(SystemClock()).why_not()
    assert why is not None
    assert why.startswith("more than 0 blocks are in use, no full collection has told")
    assert why.endswith("evidence_pause_seconds is 0.05")


def test_full_collection_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_BLOCKS_PER_SECOND", 0)
    lists = ObjectLists(SteppingClock(0.1))
    with lists:
        waiting = lists.learn()
        assert next(waiting) > 0
        gc.collect(1)
        assert next(waiting) > 0
        gc.collect()
        assert list(waiting) == []
    assert lists.expected_seconds() == pytest.approx(0.025)


def test_full_collection_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_BLOCKS_PER_SECOND", 0)
    assert sum(ObjectLists(SystemClock()).learn()) == 60.0


def test_nothing_is_waited_for_where_nothing_collects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_BLOCKS_PER_SECOND", 0)
    gc.disable()
    assert list(ObjectLists(SystemClock()).learn()) == []


@pytest.mark.parametrize(("seconds", "is_listed"), [(0.15, True), (0.17, False)])
def test_quarter_of_a_full_collection_is_what_a_list_is_expected_to_take(
    seconds: float,
    is_listed: bool,  # noqa: FBT001 - parametrized
) -> None:
    assert (collected(seconds).why_not() is None) is is_listed


def test_first_list_tells_of_the_next() -> None:
    lists = collected(0.1)
    with lists.take() as objects:
        assert len(objects) > 1_000
    assert lists.expected_seconds() == pytest.approx(0.1, rel=0.05)
    assert lists.why_not() == (
        "the list of all objects would stall the process for 100 ms, and evidence_pause_seconds is "
        "0.05"
    )


def test_longer_pause_allows_a_longer_list() -> None:
    lists = collected(1.0, longest_pause_seconds=0.5)
    assert lists.expected_seconds() == pytest.approx(0.25)
    assert lists.why_not() is None
    assert lists.why_not(share=0.5) is not None


def test_longer_pause_allows_a_larger_heap_that_nothing_is_known_of() -> None:
    blocks = sys.getallocatedblocks() / listing._BLOCKS_PER_SECOND
    assert ObjectLists(SystemClock(), longest_pause_seconds=blocks / 2).why_not() is not None
    assert ObjectLists(SystemClock(), longest_pause_seconds=blocks * 2).why_not() is None


def test_nothing_listens_afterwards() -> None:
    before: list[Any] = list(gc.callbacks)
    with ObjectLists(SystemClock()):
        assert len(gc.callbacks) == len(before) + 1
    assert gc.callbacks == before
