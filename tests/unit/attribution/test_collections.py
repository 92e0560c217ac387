from __future__ import annotations

import gc
import random
import threading
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING

import pytest

from opentelemetry.instrumentation.memory._attribution.collections import (
    CollectionsMeanwhile,
    end_in_child,
    objects_until_full,
    until_room_for,
)
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def thresholds(*most: int) -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*most)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@pytest.fixture
def full_collections() -> Iterator[list[int]]:
    generations: list[int] = []

    def note(phase: str, facts: dict[str, int]) -> None:
        if phase == "start" and facts["generation"] == 2:
            generations.append(2)

    gc.callbacks.append(note)
    yield generations
    gc.callbacks.remove(note)


def test_collection_within_is_counted() -> None:
    with CollectionsMeanwhile(SystemClock()) as collections:
        gc.collect()
    assert collections.seconds > 0


def test_collection_of_another_thread_is_not() -> None:
    with CollectionsMeanwhile(SystemClock()) as collections:
        other = threading.Thread(target=gc.collect)
        was_enabled = gc.isenabled()
        gc.disable()
        other.start()
        other.join()
        if was_enabled:
            gc.enable()
    assert collections.seconds == 0


def test_nothing_is_left_behind() -> None:
    before = list(gc.callbacks)
    with CollectionsMeanwhile(SystemClock()):
        assert len(gc.callbacks) == len(before) + 1
    assert gc.callbacks == before


def test_application_that_empties_the_list_meanwhile_is_no_harm() -> None:
    before = list(gc.callbacks)
    with CollectionsMeanwhile(SystemClock()):
        gc.callbacks.clear()
    gc.callbacks.extend(before)


def test_nothing_is_left_behind_in_a_forked_child() -> None:
    before = list(gc.callbacks)
    with CollectionsMeanwhile(SystemClock()):
        end_in_child()
        assert gc.callbacks == before


@pytest.mark.parametrize("most", [(100, 3, 2), (100, 10, 10), (200, 1, 0), (150, 5, 0)])
def test_no_full_collection_comes_as_long_as_there_is_room(
    most: tuple[int, int, int], full_collections: list[int]
) -> None:
    # What the loop itself makes, and what the test's surroundings do.
    own_objects = 20
    kept: list[list[object]] = []
    chance = random.Random(1)  # noqa: S311 - no cryptography
    with thresholds(*most):
        for _ in range(2000):
            room = objects_until_full() - own_objects
            before = len(full_collections)
            if room > 0:
                kept.extend([] for _ in range(chance.randint(1, int(room))))
                assert len(full_collections) == before
            else:
                kept.extend([] for _ in range(2 * own_objects))
    assert full_collections


def test_nothing_is_waited_for_where_nothing_is_collected() -> None:
    gc.disable()
    try:
        assert objects_until_full() == inf
        assert list(until_room_for(10_000, 60.0)) == []
    finally:
        gc.enable()


def test_application_goes_first_where_a_full_collection_is_near() -> None:
    with thresholds(100, 0, 0):
        waiting = until_room_for(10_000, 60.0)
        assert next(waiting) > 0
        assert next(waiting) > 0
        gc.set_threshold(100_000, 10, 10)  # as if it had come
        with pytest.raises(StopIteration) as end:
            next(waiting)
    assert 0 < end.value.value < 60.0


def test_full_collection_that_does_not_come_is_not_waited_for_any_longer() -> None:
    with thresholds(100, 0, 0):
        assert 1.0 <= sum(until_room_for(10_000, 1.0)) < 1.5
        assert list(until_room_for(10_000, 0.0)) == []
