"""The way to what hangs on the local variables of a coroutine that an event loop runs."""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from opentelemetry.instrumentation.memory._attribution.code_names import CodeNames
from opentelemetry.instrumentation.memory._attribution.containers import ContainerInquiry
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._attribution.paths import describe
from opentelemetry.instrumentation.memory._attribution.referrers import climb
from opentelemetry.instrumentation.memory._attribution.suspended import a_few_of_each
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory.model import MemorySample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.instrumentation.memory.evidence import ContainerGrowth

SOURCE = """
import asyncio

class Order:
    def __init__(self, number): self.number = number

class Hub:
    def __init__(self): self.inboxes = [asyncio.Queue(), asyncio.Queue()]
    def publish(self, number): self.inboxes[0].put_nowait(Order(number))

class Backlog:
    def __init__(self): self.orders, self.done = [], asyncio.Event()
    def add(self, number):
        self.orders.append(Order(number))
        if number < 0:
            self.done.set()

class Retries:
    def __init__(self, loop): self.loop = loop
    def add(self, number): self.loop.call_later(3600, self.add, number)

async def serve_hub(told):
    hub = Hub()
    told(hub.publish, hub)
    reading = asyncio.create_task(hub.inboxes[1].get())
    await reading

async def keep(told):
    backlog = Backlog()
    told(backlog.add, backlog)
    await asyncio.get_running_loop().create_future()

async def keep_for_a_while(told):
    backlog = Backlog()
    told(backlog.add, backlog)
    await backlog.done.wait()
    del backlog
    told(None, None)
    await asyncio.get_running_loop().create_future()

async def serve_keeping(told):
    number = 1
    await keep(told)
    return number

async def orders(told):
    backlog = Backlog()
    told(backlog.add, backlog)
    while True:
        await asyncio.get_running_loop().create_future()
        yield backlog

async def serve_stream(told):
    async for each in orders(told):
        print(each)

async def retry(told):
    retries = Retries(asyncio.get_running_loop())
    told(retries.add, retries)
    await asyncio.get_running_loop().create_future()

class Once:
    def __await__(self): yield

async def wait_once(told):
    backlog = Backlog()
    told(backlog.add, backlog)
    await Once()
"""

WAITS = "a local variable of"
HAS_NAMES_OF_LOCALS = sys.version_info >= (3, 13)

pytestmark = pytest.mark.usefixtures("far_reaching_search")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "shop_waiting.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("shop_waiting")
    del sys.modules["shop_waiting"]


class Served:
    """A coroutine that a loop of its own thread runs, and how it is made to keep more."""

    def __init__(self, coroutine: Callable[[Any], Any]) -> None:
        self._coroutine = coroutine
        self._loop = asyncio.new_event_loop()
        self._waits = threading.Event()
        self.has_let_go = threading.Event()
        self.keep: Any = None
        self.holder: weakref.ref[Any] | None = None

    def run(self) -> None:
        task = self._loop.create_task(self._coroutine(self._told))
        self._loop.run_forever()
        task.cancel()
        tasks = asyncio.all_tasks(self._loop)
        for each in tasks:
            each.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _told(self, keep: Any, holder: Any) -> None:
        if holder is None:
            self.has_let_go.set()
            return
        self.keep = weakref.WeakMethod(keep)
        self.holder = weakref.ref(holder)
        # By the time that this is called the coroutine waits.
        self._loop.call_soon(self._waits.set)

    def grow(self, numbers: range) -> None:
        assert self._waits.wait(30)
        done = threading.Event()

        def keep() -> None:
            for number in numbers:
                self.keep()(number)
            done.set()

        self._loop.call_soon_threadsafe(keep)
        assert done.wait(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextmanager
def served(coroutine: Callable[[Any], Any]) -> Iterator[Served]:
    service = Served(coroutine)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield service
    finally:
        service.stop()
        thread.join()


def gather(service: Served) -> dict[str | None, ContainerGrowth]:
    service.grow(range(200))
    steps = ContainerInquiry(SystemClock()).gather(Case("python_heap", 0.0, MemorySample(0.0, 1)))
    while True:
        try:
            rest_seconds = next(steps)
        except StopIteration as end:
            return {each.path: each for each in end.value.containers}
        if rest_seconds >= 1:
            service.grow(range(200, 2000))


def local(name: str) -> str:
    return f"<local>.{name}" if HAS_NAMES_OF_LOCALS else "<local>"


@pytest.mark.parametrize(
    ("function", "holder", "path"),
    [
        ("serve_hub", "coroutine shop_waiting.serve_hub", f"{local('hub')}.inboxes[...]"),
        ("serve_keeping", "coroutine shop_waiting.keep", f"{local('backlog')}.orders"),
        ("serve_stream", "async generator shop_waiting.orders", f"{local('backlog')}.orders"),
    ],
)
def test_what_a_waiting_coroutine_keeps_is_named_by_its_code(
    shop: Any, function: str, holder: str, path: str
) -> None:
    with served(getattr(shop, function)) as service:
        found = gather(service)
    growth = found[f"{holder.rsplit(maxsplit=1)[-1]}.{path}"]
    assert growth.held_by == f"{WAITS} {holder}"
    assert (growth.entries_before, growth.entries_after) == (200, 2000)
    assert growth.is_placed


def test_what_a_loop_is_to_call_later_is_found(shop: Any) -> None:
    with served(shop.retry) as service:
        found = gather(service)
    paths = [
        path for path, each in found.items() if each.entries_after - each.entries_before == 1800
    ]
    # Of several ways to the loop one is told: by the coroutine, or by the thread that runs it.
    assert [path for path in paths if path and path.endswith("._scheduled")]


@pytest.mark.parametrize("function", ["serve_hub", "serve_keeping", "serve_stream"])
def test_nothing_is_left_behind_of_a_coroutine_that_has_ended(shop: Any, function: str) -> None:
    with served(getattr(shop, function)) as service:
        assert gather(service)
        holder = service.holder
    assert holder is not None
    gc.collect()  # asyncio itself leaves cycles behind
    assert holder() is None


def test_what_a_waiting_coroutine_lets_go_of_is_freed_at_once(shop: Any) -> None:
    with served(shop.keep_for_a_while) as service:
        assert gather(service)
        assert service.holder is not None
        gc.disable()
        try:
            # A copy of its local variables, as `f_locals` makes one, would still refer to it.
            service.grow(range(-1, 0))
            assert service.has_let_go.wait(30)
            assert service.holder() is None
        finally:
            gc.enable()


def nobody_knows(_: int) -> bool:
    return False


def climbed(target: object) -> list[Any]:
    steps = climb(target, nobody_knows)
    chain: list[Any] = []

    def run() -> Iterator[float]:
        chain.extend((yield from steps))

    list(run())
    return chain


def begun(shop: Any) -> tuple[Any, Any]:
    told: list[Any] = []
    coroutine = shop.wait_once(lambda _, backlog: told.append(weakref.ref(backlog)))
    coroutine.send(None)
    return coroutine, told[0]


def test_climbing_ends_at_a_coroutine_that_no_task_runs(shop: Any) -> None:
    coroutine, backlog = begun(shop)
    chain = climbed(backlog().orders)
    assert chain[0] is coroutine
    place = describe(None, chain, CodeNames())
    assert place.path == f"shop_waiting.wait_once.{local('backlog')}.orders"
    assert place.held_by == f"{WAITS} coroutine shop_waiting.wait_once"
    coroutine.close()


def test_climbing_leaves_a_dead_end_again(shop: Any) -> None:
    coroutine, backlog = begun(shop)
    # Each entry refers to what its list is kept by, and nothing else to the entry.
    backlog().orders += [shop.Order(backlog()) for _ in range(3000)]
    chain = climbed(backlog().orders)
    assert chain[0] is coroutine
    coroutine.close()


def test_few_coroutines_of_one_function_are_where_a_search_begins(shop: Any) -> None:
    async def wait_many() -> None:
        waiting = [asyncio.create_task(shop.keep(lambda *_: None)) for _ in range(50)]
        await asyncio.sleep(0)
        names = [each.cr_code.co_name for each in a_few_of_each()]
        assert 1 <= names.count("keep") <= 4
        assert names.count("wait_many") == 1
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(wait_many())
