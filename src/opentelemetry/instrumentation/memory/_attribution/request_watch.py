"""What one request keeps, seen directly: live bytes before and after, when it was alone."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory._sampling.clock import Clock

DEAR_SECONDS: Final = 200e-6
_REST_SECONDS: Final = 60.0


class RequestWatch:
    """Records requests that overlapped no other and kept at least so much.

    Only then is the difference theirs. A request that another overlapped says nothing and is left
    out, so a busy service is hardly ever seen; the regression over routes is for that.

    Args:
        threshold_bytes: What keeps less is not recorded.
        read_live_bytes: Returns the live bytes of the process, or None when unknown.
        record: Called with the growth, the route and the context of the request, or None for the
            current one.
        clock: What reading costs. After a read of more than 200 µs none follows for a minute.
    """

    def __init__(
        self,
        threshold_bytes: int,
        read_live_bytes: Callable[[], int | None],
        record: Callable[[int, str, Any], None],
        clock: Clock,
    ) -> None:
        self._threshold_bytes = threshold_bytes
        self._read_live_bytes = read_live_bytes
        self._record = record
        self._clock = clock
        self._pid = os.getpid()
        self._under_way: dict[int, weakref.ref[Any] | None] = {}
        self._latest: int | None = None
        self._alone: tuple[int, int] | None = None
        self._resting_until = 0.0

    def begin(self, key: int, owner: object | None = None) -> None:
        """Note that a request begins.

        Args:
            key: Tells it from all others.
            owner: Lives as long as the request may; one that is lost without an end is forgotten
                with it. None where `end` is sure to come.
        """
        if self._pid != os.getpid():
            # What was under way at the fork ends in the parent.
            self._under_way, self._pid, self._alone = {}, os.getpid(), None
        under_way = self._under_way
        if owner is None:
            under_way[key] = None
        else:
            under_way[key] = weakref.ref(owner, lambda _: under_way.pop(key, None))
        self._latest = key
        if len(under_way) == 1:
            before = self._read()
            self._alone = None if before is None else (key, before)

    def end(self, key: int, route: Callable[[], str], context: Any = None) -> None:
        """Note that a request has ended, and record it if it was alone all the time.

        Args:
            key: As at its begin.
            route: Returns its name; asked for only if there is something to record.
            context: Where the request's span is, or None where it is the current one.
        """
        self._under_way.pop(key, None)
        alone = self._alone
        if alone is None or alone[0] != key:
            return
        self._alone = None
        if self._latest != key or self._under_way:
            return
        after = self._read()
        if after is not None and after - alone[1] >= self._threshold_bytes:
            self._record(after - alone[1], route(), context)

    def _read(self) -> int | None:
        started = self._clock.now()
        if started < self._resting_until:
            return None
        live_bytes = self._read_live_bytes()
        ended = self._clock.now()
        if ended - started > DEAR_SECONDS:
            self._resting_until = ended + _REST_SECONDS
        return live_bytes
