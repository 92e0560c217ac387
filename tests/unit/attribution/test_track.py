"""`track` counts blocks and functions of every kind, and only while somebody counts."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest

from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory.track import track

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator


@pytest.fixture(autouse=True)
def _counting() -> Iterator[None]:
    REQUESTS.start_counting()
    yield
    REQUESTS.stop_counting()


def counted() -> dict[str, int]:
    return REQUESTS.tracked.take()[0]


def test_a_block_is_counted_when_it_ends() -> None:
    with track("export"):
        assert counted() == {}
    assert counted() == {"export": 1}


def test_a_block_that_fails_is_counted_and_fails() -> None:
    with pytest.raises(KeyError), track("export"):
        raise KeyError
    assert counted() == {"export": 1}


def test_a_function_is_counted_and_returns() -> None:
    @track("double")
    def double(number: int) -> int:
        return 2 * number

    assert (double(4), double.__name__) == (8, "double")
    assert counted() == {"double": 1}


def test_a_coroutine_is_counted_when_it_has_run() -> None:
    @track("fetch")
    async def fetch() -> str:
        await asyncio.sleep(0)
        assert counted() == {}
        return "body"

    assert inspect.iscoroutinefunction(fetch)
    assert asyncio.run(fetch()) == "body"
    assert counted() == {"fetch": 1}


def test_a_generator_is_counted_when_it_has_run_out() -> None:
    @track("rows")
    def rows() -> Iterator[int]:
        yield 1
        yield 2

    running = rows()
    next(running)
    assert counted() == {}
    assert list(running) == [2]
    assert counted() == {"rows": 1}


def test_an_asynchronous_generator_is_counted_when_it_has_run_out() -> None:
    @track("pages")
    async def pages() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def read() -> list[int]:
        return [each async for each in pages()]

    assert asyncio.run(read()) == [1, 2]
    assert counted() == {"pages": 1}


def test_nothing_is_counted_while_nobody_counts() -> None:
    REQUESTS.stop_counting()
    with track("export"):
        pass
    assert counted() == {}


def test_tracked_work_is_no_request() -> None:
    with track("export"):
        pass
    assert REQUESTS.finished.take()[0] == {}


@track("echo")
async def echo(closed: list[str]) -> AsyncGenerator[object, object]:
    try:
        said = yield "begin"
        yield said
    except KeyError as error:
        yield error.args[0]
    finally:
        closed.append("closed")


def test_what_is_sent_into_an_asynchronous_generator_arrives() -> None:
    async def talk() -> object:
        running = echo([])
        await running.asend(None)
        return await running.asend("hello")

    assert asyncio.run(talk()) == "hello"


def test_what_is_thrown_into_an_asynchronous_generator_arrives() -> None:
    async def talk() -> object:
        running = echo([])
        await running.asend(None)
        return await running.athrow(KeyError("caught"))

    assert asyncio.run(talk()) == "caught"


def test_an_asynchronous_generator_that_is_closed_early_cleans_up_at_once() -> None:
    async def talk() -> list[str]:
        closed: list[str] = []
        running = echo(closed)
        await running.asend(None)
        await running.aclose()
        return closed

    assert asyncio.run(talk()) == ["closed"]
