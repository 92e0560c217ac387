"""At no step is more than a few objects held by anything that a forked child would not empty."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from opentelemetry.instrumentation.memory._attribution import census, holding, referrers
from opentelemetry.instrumentation.memory._attribution.census import take_census
from opentelemetry.instrumentation.memory._attribution.listing import ObjectLists
from opentelemetry.instrumentation.memory._attribution.referrers import find_objects
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# A loop's variable, and what an iterator has just handed out.
A_FEW = 3


class Order:
    """Something of the application."""


class Strays:
    """Counts, at each instruction that a look runs, what a fork just then would leave behind.

    Another thread may fork at any of them. Until 3.11 nothing but the first few of a list is seen
    between two instructions, so each is stopped at.
    """

    def __init__(self, objects: list[Any]) -> None:
        self._objects = objects
        self.most = 0
        self.most_held = 0
        self._references = self._referred()

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(census.__file__.rpartition("census")[0]):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            held = Counter(map(id, chain.from_iterable(map(_values, tuple(holding._held)))))
            strays = sum(
                now - held[id(each)] > before
                for each, now, before in zip(
                    self._objects, self._referred(), self._references, strict=True
                )
            )
            self.most = max(self.most, strays)
            self.most_held = max(self.most_held, len(held))
        return self.trace

    def _referred(self) -> list[int]:
        return list(map(sys.getrefcount, self._objects))


def _values(collection: list[Any] | dict[int, Any]) -> Any:
    return collection.values() if isinstance(collection, dict) else collection


def take_a_census(objects: list[Any]) -> None:  # noqa: ARG001 - none is looked for
    types: dict[int, type] = {}
    with holding.holding(types):
        for _ in take_census(ObjectLists(SystemClock()), types):
            pass
        types.clear()


def search(objects: list[Any]) -> None:
    found: list[Any] = []
    with holding.holding(found):
        for _ in find_objects(set(map(id, objects)), ObjectLists(SystemClock()), found):
            pass
        found.clear()


@pytest.mark.parametrize("look", [take_a_census, search])
@pytest.mark.parametrize("kind", [Order, dict, list, lambda: type("Made", (), {})])
def test_fork_at_any_instruction_leaves_a_few_objects_behind_at_most(
    kind: Callable[[], object],
    look: Callable[[list[Any]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objects = [kind() for _ in range(60)]
    monkeypatch.setattr(gc, "get_objects", partial(list, objects))
    monkeypatch.setattr(census, "_CHUNK", 20)
    monkeypatch.setattr(referrers, "_CHUNK", 20)
    strays = Strays(objects)
    before = sys.gettrace()
    sys.settrace(strays.trace)
    try:
        look(objects)
    finally:
        sys.settrace(before)
    assert strays.most_held >= len(objects)
    assert strays.most <= A_FEW


def test_nothing_is_held_afterwards() -> None:
    with holding.made(gc.get_objects) as objects, holding.holding([], {}):
        assert holding.is_holding()
        assert objects
    assert not holding.is_holding()
