"""What the program that was started keeps itself, and not in a module that it imports."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# It imports `multiprocessing`, which gives the program's module a second name. The search is so
# short that it cannot go through all modules, as in any service of some size.
SOURCE = """
import json, multiprocessing, sys
from collections import deque
from functools import partial
from types import SimpleNamespace

from opentelemetry.instrumentation.memory._attribution import growth
from opentelemetry.instrumentation.memory._attribution.class_names import type_name
from opentelemetry.instrumentation.memory._attribution.code_names import CodeNames
from opentelemetry.instrumentation.memory._attribution.containers import ContainerInquiry
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._attribution.paths import describe, resolve
from opentelemetry.instrumentation.memory._attribution.walk import Walk
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory.model import MemorySample


class Order:
    pass


class Framework:
    def __init__(self, **state):
        self.state = SimpleNamespace(**state)


class Desk:
    def __init__(self):
        self._by_guest = dict.fromkeys(range(100))


desk = Desk()
app = Framework(kept=SimpleNamespace(jobs=SimpleNamespace(waiting=deque(range(100)))))


def path_to(walk, target):
    way = walk.chain_to(id(target))
    objects = None if way is None else resolve(*way)
    return None if objects is None else describe(way[0], objects, CodeNames()).path


def grow_while_it_is_looked_for():
    deep = app.state
    for name in ("of", "all", "of_them", "that", "are"):
        deep.next = SimpleNamespace()
        deep = deep.next
    deep.waiting = deque(range(100))
    growth.Walk = partial(Walk, most_nodes=5000)
    steps = ContainerInquiry(SystemClock(), 0.0, 0.0).gather(
        Case("python_heap", 0.0, MemorySample(0.0, 1))
    )
    try:
        while True:
            # The list of all objects is quick: there are not many.
            deep.waiting.extend([[number] for number in range(50)])
            next(steps)
    except StopIteration as end:
        print(json.dumps([each.path for each in end.value.containers]), flush=True)


def look():
    assert len(sys.modules) > 200
    walk = Walk(SystemClock(), most_nodes=5000)
    list(walk.run())
    print(json.dumps({
        "type": type_name(Order),
        "shallow": path_to(walk, desk._by_guest),
        "deep": path_to(walk, app.state.kept.jobs.waiting),
    }), flush=True)


if __name__ == "__main__":
    if "spawn" in sys.argv:
        child = multiprocessing.get_context("spawn").Process(target=look)
        child.start()
        child.join()
    elif "grow" in sys.argv:
        grow_while_it_is_looked_for()
    else:
        look()
"""


def told_by(folder: Path, *arguments: str) -> Any:
    program = folder / "shop.py"
    program.write_text(SOURCE)
    ended = subprocess.run(
        [sys.executable, program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    told: dict[str, Any] = told_by(tmp_path_factory.mktemp("program"))
    return told


def test_variable_is_named_by_the_program_and_not_by_its_second_name(told: dict[str, Any]) -> None:
    assert told["shallow"] == "__main__.desk._by_guest"


def test_what_an_object_keeps_deep_within_is_found_before_all_of_the_libraries(
    told: dict[str, Any],
) -> None:
    assert told["deep"] == "__main__.app.state.kept.jobs.waiting"


def test_classes_and_variables_are_named_in_a_child_that_was_spawned(tmp_path: Path) -> None:
    told = told_by(tmp_path, "spawn")
    assert told["type"] == "__mp_main__.Order"
    assert told["shallow"] == "__main__.desk._by_guest"


def test_what_lies_too_deep_for_the_search_is_found_by_what_holds_it(tmp_path: Path) -> None:
    paths = told_by(tmp_path, "grow")
    assert f"__main__.app.state{5 * '.next'}.waiting" in paths
