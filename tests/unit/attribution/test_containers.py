"""Leaks of every kind, made in a module of an application, are found and named."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import sys
import threading
import types
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from opentelemetry.instrumentation.memory._attribution import containers as containers_module
from opentelemetry.instrumentation.memory._attribution import listing as listing_module
from opentelemetry.instrumentation.memory._attribution.containers import ContainerInquiry
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._attribution.listing import ObjectLists
from opentelemetry.instrumentation.memory._attribution.walk import Walk, frames
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory.model import MemorySample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.instrumentation.memory.evidence import ContainerGrowth, Findings

SOURCE = '''
import asyncio, collections, functools, gc, logging, queue, threading, weakref

class Session:
    def __init__(self, number):
        self.number = number
        self.payload = [number] * 20

class Service:
    registry = []
    def __init__(self):
        self._seen = set()
        self.__private = []
    def see(self, number):
        self._seen.add((number, "seen"))
        self.__private.append([number])
    @functools.lru_cache(maxsize=None)
    def total(self, number):
        return str(number) * 50

class Slotted:
    __slots__ = ("items",)

class Loud:
    """Whatever is asked of it, it fails."""
    def fail(self, *args): raise AssertionError("code of the application was run")
    __len__ = __iter__ = __eq__ = __repr__ = __str__ = __bool__ = __sizeof__ = __reversed__ = fail
    __contains__ = __getitem__ = __call__ = __format__ = __index__ = __dir__ = fail
    __hash__ = fail
    @property
    def __class__(self): self.fail()
    def __getattr__(self, name): self.fail()
    __getattribute__ = lambda self, name: object.__getattribute__(self, "fail")()

class LoudMeta(type):
    def fail(cls, *args): raise AssertionError("a metaclass was run")
    __eq__ = __hash__ = __repr__ = __instancecheck__ = __subclasscheck__ = fail

class LoudDict(dict):
    def fail(self, *args): raise AssertionError("code of the application was run")
    __len__ = __iter__ = __reversed__ = values = items = keys = __getitem__ = __sizeof__ = fail

def make_handler():
    seen = []
    def handler(number): seen.append([number])
    return handler

def default(number, *, kept=[]): kept.append([number])
def noted(number): noted.notes.append([number])
noted.notes = []

service, slotted = Service(), Slotted()
slotted.items = []
handler = make_handler()
sessions, texts, ordered, grouped = {}, {}, collections.OrderedDict(), collections.defaultdict(list)
items, recent = [], collections.deque()
jobs, simple_jobs, later = queue.Queue(), queue.SimpleQueue(), asyncio.Queue()
urgent = queue.PriorityQueue()
by_key, by_value = weakref.WeakKeyDictionary(), weakref.WeakValueDictionary()
living = weakref.WeakSet()
alive = []
local = threading.local()
local.buffer = []
log = logging.getLogger("shop_leaks")
handlers, models, loud = [], [], LoudDict()
nested = {"by tenant": {"all": {}}}

def add_nested(number): nested["by tenant"]["all"][number] = number
def add_log_handler(number): log.addHandler(logging.NullHandler())
def add_handler(number): handlers.append(lambda: number)
def add_dynamic(number): setattr(service, f"user_{number}", number)
def add_model(number): models.append(type(f"Model{number}", (Session,), {}))
def add_weak(number):
    session = Session(number)
    alive.append(session)
    by_key[session] = number
def add_weak_value(number):
    session = Session(number)
    alive.append(session)
    by_value[number] = session
def add_living(number):
    session = Session(number)
    alive.append(session)
    living.add(session)
def add_cycle(number):
    session = Session(number)
    session.self = session
def add_loud(number): loud[number] = Loud()
'''

LEAKS: list[tuple[str, Callable[[Any, int], object], str, str]] = [
    ("dict", lambda m, n: m.sessions.__setitem__(f"key {n}", m.Session(n)), "sessions", "dict"),
    ("untracked dict", lambda m, n: m.texts.__setitem__(str(n), b"x" * (600 + n)), "texts", "dict"),
    ("ordered", lambda m, n: m.ordered.__setitem__(n, [n]), "ordered", "collections.OrderedDict"),
    ("grouped", lambda m, n: m.grouped[n].append(n), "grouped", "collections.defaultdict"),
    ("list", lambda m, n: m.items.append([n]), "items", "list"),
    ("deque", lambda m, n: m.recent.append([n]), "recent", "collections.deque"),
    ("set", lambda m, n: m.service.see(n), "service._seen", "set"),
    ("private", lambda m, n: m.service.see(n), "service._Service__private", "list"),
    ("class", lambda m, n: m.Service.registry.append([n]), "Service.registry", "list"),
    ("slot", lambda m, n: m.slotted.items.append([n]), "slotted.items", "list"),
    ("closure", lambda m, n: m.handler(n), "handler.<closure>.seen", "list"),
    ("default", lambda m, n: m.default(n), "default.<default>.kept", "list"),
    ("note", lambda m, n: m.noted(n), "noted.notes", "list"),
    ("method cache", lambda m, n: m.service.total(n), "Service.total", "functools.lru_cache"),
    ("queue", lambda m, n: m.jobs.put([n]), "jobs", "queue.Queue"),
    ("priorities", lambda m, n: m.urgent.put([n]), "urgent", "queue.PriorityQueue"),
    ("simple queue", lambda m, n: m.simple_jobs.put([n]), "simple_jobs", "queue.SimpleQueue"),
    ("asyncio queue", lambda m, n: m.later.put_nowait([n]), "later", "asyncio.Queue"),
    ("weak keys", lambda m, n: m.add_weak(n), "by_key", "weakref.WeakKeyDictionary"),
    ("weak values", lambda m, n: m.add_weak_value(n), "by_value", "weakref.WeakValueDictionary"),
    ("weak set", lambda m, n: m.add_living(n), "living", "weakref.WeakSet"),
    ("thread local", lambda m, n: m.local.buffer.append([n]), "local.buffer", "list"),
    ("log handlers", lambda m, n: m.add_log_handler(n), "log.handlers", "list"),
    ("attributes", lambda m, n: m.add_dynamic(n), "service.__dict__", "dict"),
    ("nested", lambda m, n: m.add_nested(n), "nested[...][...]", "dict"),
    ("global names", lambda m, n: vars(m).__setitem__(f"user_{n}", n), "__dict__", "dict"),
]  # fmt: skip


pytestmark = pytest.mark.usefixtures("far_reaching_search")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "shop_leaks.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(containers_module, "_MOST_TOLD", 40)
    yield importlib.import_module("shop_leaks")
    del sys.modules["shop_leaks"]


@pytest.fixture(scope="module")
def every_leak(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Findings:
    """What is found where everything leaks at once."""
    request.getfixturevalue("far_reaching_search")
    folder = tmp_path_factory.mktemp("app")
    (folder / "shop_leaks.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setattr(containers_module, "_MOST_TOLD", 100)
        module = importlib.import_module("shop_leaks")

        def grow(number: int) -> None:
            for _, leak, _, _ in LEAKS:
                leak(module, number)

        findings = gather(grow)
        del sys.modules["shop_leaks"]
    return findings


def gather(grow: Callable[[int], object], before: int = 100, more: int = 300) -> Findings:
    """Let something grow before and between the two looks, with no waiting in between."""
    for number in range(before):
        grow(number)
    steps = ContainerInquiry(SystemClock()).gather(Case("python_heap", 0.0, MemorySample(0.0, 1)))
    while True:
        try:
            rest_seconds = next(steps)
        except StopIteration as end:
            return end.value
        if rest_seconds >= 1:
            for number in range(before, before + more):
                grow(number)


def named(findings: Findings, path: str | None) -> ContainerGrowth:
    found = [each for each in findings.containers if each.path == path]
    assert found, [each.path for each in findings.containers]
    return found[0]


@pytest.mark.parametrize(
    ("path", "container_type"), [leak[2:] for leak in LEAKS], ids=[leak[0] for leak in LEAKS]
)
def test_a_container_that_grows_is_named(
    every_leak: Findings, path: str, container_type: str
) -> None:
    name = f"shop_leaks.{path}"
    assert (name, container_type) in {
        (each.path, each.container_type) for each in every_leak.containers
    }


def test_default_of_a_function_is_named_before_a_variable_of_the_program_that_has_got_it(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "kept", shop.default.__kwdefaults__["kept"], False)
    growth = named(gather(shop.default), "shop_leaks.default.<default>.kept")
    assert growth.container_type == "list"


def test_variable_of_the_program_is_named_where_no_module_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(sys.modules["__main__"], "kept_by_program", kept, raising=False)
    findings = gather(lambda n: kept.append([n]))
    assert any((each.path or "").startswith("__main__.") for each in findings.containers)


def test_entries_are_counted_before_and_after(shop: Any) -> None:
    growth = named(gather(lambda number: shop.items.append([number])), "shop_leaks.items")
    assert (growth.entries_before, growth.entries_after) == (100, 400)


def test_the_newer_entries_are_told_by_type(shop: Any) -> None:
    growth = named(gather(lambda n: shop.items.append(shop.Session(n))), "shop_leaks.items")
    assert growth.element_types == (("shop_leaks.Session", 50),)


def test_functions_that_are_kept_are_told_by_name(shop: Any) -> None:
    growth = named(gather(shop.add_handler), "shop_leaks.handlers")
    assert growth.element_types[0][0].startswith("function shop_leaks.")


def test_the_bytes_of_texts_are_estimated(shop: Any) -> None:
    grow = lambda n: shop.texts.__setitem__(str(n), bytes(10_000))  # noqa: E731
    growth = named(gather(grow), "shop_leaks.texts")
    assert growth.bytes_grown == pytest.approx(300 * 10_000, rel=0.05)


def test_what_entries_alone_hold_counts_as_theirs(shop: Any) -> None:
    grow = lambda _: shop.items.append([bytes(5_000)])  # noqa: E731
    assert named(gather(grow), "shop_leaks.items").bytes_grown == pytest.approx(1_500_000, rel=0.1)


def test_what_entries_share_does_not_count(shop: Any) -> None:
    shared = bytes(1_000_000)
    growth = named(gather(lambda _: shop.items.append([shared])), "shop_leaks.items")
    assert growth.bytes_grown < 100_000


def test_a_type_that_grows_is_counted(shop: Any) -> None:
    types_grown = gather(lambda n: shop.items.append(shop.Session(n))).types
    growth = next(each for each in types_grown if each.type_name == "shop_leaks.Session")
    assert (growth.count_before, growth.count_after) == (100, 400)


def test_classes_made_at_run_time_are_counted_at_their_base(shop: Any) -> None:
    growth = named(gather(shop.add_model), "shop_leaks.Session.__subclasses__()")
    name = "shop_leaks.Session subclass made at run time in shop_leaks"
    assert growth.element_types == ((name, 50),)


def test_cycles_are_found_while_nothing_collects_them(shop: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        findings = gather(shop.add_cycle)
    finally:
        gc.enable()
    growth = next(each for each in findings.containers if each.container_type == "reference cycles")
    assert growth.held_by == "reference cycles; gc.disable() is in force"
    assert "shop_leaks.Session" in dict(growth.element_types)


def test_what_lives_is_no_garbage_while_nothing_is_collected(shop: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        findings = gather(lambda n: shop.items.append(shop.Session(n)))
    finally:
        gc.enable()
    garbage = [each for each in findings.containers if each.container_type == "reference cycles"]
    assert "shop_leaks.Session" not in {name for each in garbage for name, _ in each.element_types}


def test_tasks_are_told_with_what_they_run() -> None:
    async def wait_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    loop = asyncio.new_event_loop()
    tasks: list[Any] = []
    try:
        findings = gather(lambda _: tasks.append(loop.create_task(wait_for_ever())))
    finally:
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()
    growth = named(findings, "asyncio.all_tasks()")
    assert (growth.entries_before, growth.entries_after) == (100, 400)
    assert "coroutine" in growth.element_types[0][0]


def test_threads_are_told_with_what_they_run() -> None:
    end = threading.Event()
    threads: list[threading.Thread] = []

    def start(_: int) -> None:
        threads.append(threading.Thread(target=end.wait, daemon=True))
        threads[-1].start()

    try:
        growth = named(gather(start, before=10, more=10), "threading._active")
    finally:
        end.set()
        for thread in threads:
            thread.join()
    # Python 3.10 does not know the class of a method's code.
    names = {
        "threading.Thread of function threading.Event.wait",
        "threading.Thread of function threading.wait",
    }
    assert names & dict(growth.element_types).keys()


def test_a_container_that_only_a_function_knows_is_told_without_a_path() -> None:
    held: list[Any] = []
    hidden = [functools.partial(held.append)]
    findings = gather(lambda n: hidden[0]([n]))
    assert [each for each in findings.containers if each.entries_after == 400]


def test_what_is_not_looked_for_in_a_large_heap_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class BriefLists(ObjectLists):
        def learn(self) -> Iterator[float]:
            return iter(())

        def why_not(self, share: float = 1.0) -> str | None:
            return None if share == 1.0 else "too long"

    monkeypatch.setattr(containers_module, "ObjectLists", BriefLists)
    held: list[Any] = []
    hidden = [functools.partial(held.append)]
    (skipped,) = gather(lambda n: hidden[0]([n])).skipped
    assert skipped.why == "too long: what holds 1 more that grew was not looked for"


def test_no_code_of_the_application_is_run(shop: Any) -> None:
    shop.alive.append(shop.LoudMeta("Quiet", (), {})())
    growth = named(gather(shop.add_loud), "shop_leaks.loud")
    assert growth.element_types == (("shop_leaks.Loud", 50),)


def test_a_module_that_is_loaded_later_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    monkeypatch.setitem(sys.modules, "shop_lazy", Lazy("shop_lazy"))
    assert gather(lambda _: None).skipped == ()


def test_nothing_is_kept_alive(shop: Any) -> None:
    findings = gather(lambda n: shop.items.append(shop.Session(n)))
    dead = [weakref.ref(each) for each in shop.items]
    shop.items.clear()
    assert findings.containers
    assert not [each for each in dead if each() is not None]


def test_nothing_is_held_while_it_rests(shop: Any) -> None:
    shop.items += [shop.Session(0)]
    steps = ContainerInquiry(SystemClock()).gather(Case(None, 0.0, MemorySample(0.0, 1)))
    next(rest for rest in steps if rest >= 1)
    dead = weakref.ref(shop.items[0])
    shop.items.clear()
    assert dead() is None


def test_its_memory_is_in_the_way_of_no_judgement_while_it_rests(shop: Any) -> None:
    inquiry = ContainerInquiry(SystemClock())
    steps = inquiry.gather(Case(None, 0.0, MemorySample(0.0, 1)))
    held: dict[bool, list[bool]] = {True: [], False: []}
    for rest_seconds in steps:
        held[rest_seconds > 0].append(inquiry.is_holding)
        shop.items += [[rest_seconds]] * 10
    assert any(held[False])
    assert held[True]
    assert not any(held[True])


def test_ways_are_the_same_in_less_memory() -> None:
    walk = Walk(SystemClock(), most_nodes=5_000)
    list(walk.run())
    identities = [id(each) for each in sys.modules.values() if walk.chain_to(id(each))]
    ways, memory_bytes = list(map(walk.chain_to, identities)), walk.memory_bytes
    list(walk.keep_ways())
    assert identities
    assert list(map(walk.chain_to, identities)) == ways
    assert walk.chain_to(id(walk)) is None
    assert walk.memory_bytes < memory_bytes / 2


def test_an_inquiry_that_is_closed_lets_go_of_everything(shop: Any) -> None:
    shop.items += [shop.Session(0)]
    steps = ContainerInquiry(SystemClock()).gather(Case(None, 0.0, MemorySample(0.0, 1)))
    next(steps)
    steps.close()
    dead = weakref.ref(shop.items[0])
    shop.items.clear()
    assert dead() is None


def test_running_functions_are_let_go_of_without_the_garbage_collector() -> None:
    class Order:
        pass

    def look() -> weakref.ref[Order]:
        order = Order()
        assert list(frames())
        return weakref.ref(order)

    may_end = threading.Event()
    waiting = threading.Thread(target=may_end.wait)
    waiting.start()
    gc.disable()
    try:
        assert look()() is None
    finally:
        gc.enable()
        may_end.set()
        waiting.join()


def test_references_are_as_many_as_before(shop: Any) -> None:
    objects = [shop.sessions, shop.service, shop.Service, shop.handler, shop.items]
    gather(lambda n: shop.items.append([n]))
    before = list(map(sys.getrefcount, objects))
    gather(lambda n: shop.items.append([n]))
    assert list(map(sys.getrefcount, objects)) == before


def test_an_instance_on_the_way_gets_no_dictionary(shop: Any) -> None:
    shop.service = shop.Service()
    before = list(map(id, gc.get_referents(shop.service)))
    findings = gather(shop.service.see)
    assert named(findings, "shop_leaks.service._seen")
    assert list(map(id, gc.get_referents(shop.service))) == before


def test_an_attribute_that_was_named_at_run_time_is_not_told(shop: Any) -> None:
    vars(shop.service)["user_alice"] = kept = []
    findings = gather(lambda n: kept.append([n]))
    assert named(findings, "shop_leaks.service.(attribute)")


def test_a_name_that_stands_in_a_text_only_is_not_told(shop: Any) -> None:
    vars(shop.service)["seen"] = []
    vars(shop.service)["Whatever"] = kept = []
    findings = gather(lambda n: kept.append([n]))
    assert named(findings, "shop_leaks.service.(attribute)")


def test_a_python_that_lists_no_objects_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.implementation, "name", "pypy")
    assert gather(lambda _: None).skipped[0].why == "pypy does not list its objects"


def test_a_heap_too_large_to_list_is_searched_from_modules(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers_module, "ObjectLists", ObjectLists)
    monkeypatch.setattr(listing_module, "_BLOCKS_PER_SECOND", 0)
    findings = gather(lambda n: shop.items.append([n]))
    assert named(findings, "shop_leaks.items")
    (skipped,) = findings.skipped
    assert "no full collection has told" in skipped.why
    assert "types were not counted" in skipped.why
