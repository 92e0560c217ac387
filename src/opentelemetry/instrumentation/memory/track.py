"""Names work that no request stands for, so that memory it keeps can be told by that name."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

Function = TypeVar("Function", bound="Callable[..., Any]")


class track:  # noqa: N801 - used like a function
    """Counts runs of a task, or work for a tenant, under a name; as a block or as a decorator.

    While no leak is suspected it costs one look at an attribute. Names are told outside: take few,
    and none that identifies a person. From the hundredth on they share `_other`.

    Args:
        name: What to call the work.

    Example:
        >>> from opentelemetry.instrumentation.memory import track
        >>> with track("nightly_export"):
        ...     rows = list(range(10))
        >>> @track("thumbnails")
        ... def make_thumbnail(): ...
    """

    __slots__ = ("_key",)

    def __init__(self, name: str) -> None:
        self._key = (None, str(name), 1.0)

    def __enter__(self) -> Self:
        if REQUESTS.is_counting:
            next(REQUESTS.track_begun.ticks)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if REQUESTS.is_counting:
            REQUESTS.tracked.add(self._key)

    def __call__(self, function: Function) -> Function:
        """Return the function, counted whenever it ends, with a result or an error.

        Coroutine functions and generators, also asynchronous ones, count when they have run out.
        """
        return cast("Function", _counted(self, function))


def _counted(block: track, function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):
        return _counted_asynchronous_generator(block, function)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            with block:
                return await function(*args, **kwargs)

    elif inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with block:
                return (yield from function(*args, **kwargs))

    else:

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with block:
                return function(*args, **kwargs)

    return run


def _counted_asynchronous_generator(
    block: track, function: Callable[..., Any]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        with block:
            async with contextlib.aclosing(function(*args, **kwargs)) as inner:
                step = inner.asend(None)
                while True:
                    try:
                        each = await step
                    except StopAsyncIteration:
                        return
                    # There is no `yield from` here: what is sent or thrown in is handed on.
                    try:
                        step = inner.asend((yield each))
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001 - as above
                        step = inner.athrow(error)

    return run
