from __future__ import annotations

import gc
import threading

from opentelemetry.instrumentation.memory._attribution.collections import (
    CollectionsMeanwhile,
    end_in_child,
)
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock


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
