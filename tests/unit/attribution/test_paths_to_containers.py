"""The way to a container that no module holds directly."""

from __future__ import annotations

import ctypes
import importlib
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from opentelemetry.instrumentation.memory._attribution.containers import ContainerInquiry
from opentelemetry.instrumentation.memory._attribution.cycles import garbage_among
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._attribution.referrers import climb, holder_outside
from opentelemetry.instrumentation.memory._attribution.sizes import bytes_per_entry
from opentelemetry.instrumentation.memory._attribution.walk import roots
from opentelemetry.instrumentation.memory._sampling.background import _UnpatchedThread
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory.model import MemorySample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.instrumentation.memory.evidence import ContainerGrowth

SOURCE = """
class Listener:
    def __init__(self): self.heard = []
    def hear(self, number): self.heard.append([number])

callbacks, running = [], []

def serve():
    batch = []
    while True:
        number = yield
        batch.append([number])

def run(turns, done):
    kept = []
    while (number := turns.get()) is not None:
        kept.append([number])
        done.release()
"""


pytestmark = pytest.mark.usefixtures("far_reaching_search")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "shop_paths.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("shop_paths")
    del sys.modules["shop_paths"]


def gather(grow: Callable[[int], object]) -> dict[str | None, ContainerGrowth]:
    for number in range(100):
        grow(number)
    steps = ContainerInquiry(SystemClock()).gather(Case("python_heap", 0.0, MemorySample(0.0, 1)))
    while True:
        try:
            rest_seconds = next(steps)
        except StopIteration as end:
            return {each.path: each for each in end.value.containers}
        if rest_seconds >= 1:
            for number in range(100, 2000):
                grow(number)


def test_a_bound_method_leads_to_its_object(shop: Any) -> None:
    shop.callbacks.append(shop.Listener().hear)
    found = gather(shop.callbacks[0])
    assert "shop_paths.callbacks[...].__self__.heard" in found


def test_a_generator_leads_to_its_local_variables(shop: Any) -> None:
    serving = shop.serve()
    next(serving)
    shop.running.append(serving)
    name = ".batch" if sys.version_info >= (3, 13) else ""
    assert f"shop_paths.running[...].<local>{name}" in gather(serving.send)


def test_what_a_running_function_holds_says_so(shop: Any) -> None:
    turns, done = queue.SimpleQueue[Any](), threading.Semaphore(0)
    thread = threading.Thread(target=shop.run, args=(turns, done))
    thread.start()

    def grow(number: int) -> None:
        turns.put(number)
        done.acquire()

    try:
        found = gather(grow)
    finally:
        turns.put(None)
        thread.join()
    holders = [each.held_by for each in found.values() if each.entries_after == 2000]
    assert holders
    assert all("a local variable of" in (each or "") for each in holders)
    assert any("shop_paths.run" in (each or "") for each in holders)


def test_what_c_holds_says_so() -> None:
    held: list[Any] = []
    address = id(held)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
    del held

    def grow(number: int) -> None:
        ctypes.cast(address, ctypes.py_object).value.append([number])

    growth = gather(grow)[None]
    ctypes.pythonapi.Py_DecRef(ctypes.cast(address, ctypes.py_object))
    assert (growth.held_by or "").endswith("held outside Python")


def test_climbing_ends_at_a_known_object() -> None:
    target: list[Any] = []
    middle = {"a": [target]}
    top = {"b": middle}
    steps = climb(target, lambda identity: identity == id(top))
    chain: list[Any] = []

    def run() -> Iterator[float]:
        chain.extend((yield from steps))

    list(run())
    assert [id(each) for each in chain][:2] == [id(top), id(middle)]


def test_an_entry_counts_with_what_it_alone_holds() -> None:
    assert bytes_per_entry([[bytes(1000)] for _ in range(10)]) == pytest.approx(1130, abs=60)


def test_objects_of_a_cycle_are_garbage() -> None:
    cycles: list[Any] = []
    for _ in range(5):
        inner: list[Any] = []
        inner.append([inner])
        cycles.append(inner)
    del inner
    assert garbage_among(cycles) == 5


def test_objects_of_a_cycle_that_somebody_holds_are_no_garbage() -> None:
    inner: list[Any] = []
    held = [inner]
    inner.append(held)
    assert garbage_among([inner]) == 0


def test_what_the_started_program_has_imported_is_named_by_its_own_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "shop_bus.py").write_text("receivers = {}\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("shop_bus")
    names = [name for name, _ in roots() if isinstance(name, str)]
    assert names.index("shop_bus") < names.index("__main__")


def test_threads_of_this_package_are_not_told_as_holders() -> None:
    ended = threading.Event()
    began = threading.Event()

    def work() -> None:
        began.set()
        ended.wait()

    thread = _UnpatchedThread(work)
    thread.start()
    try:
        assert began.wait(30)
        words = holder_outside([], is_whole_chain=True)
    finally:
        ended.set()
        thread.join(30)
    assert "opentelemetry" not in words
