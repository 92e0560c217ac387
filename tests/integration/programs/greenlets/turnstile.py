"""A service of greenlets that keeps a ticket for everybody who has ever come in."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from gevent import sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Ticket:
    """What is kept of a visitor."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.gates = [number % 7, number % 11]


tickets: dict[int, Ticket] = {}


def let_in() -> None:
    """Let visitors in, for ever."""
    for number in itertools.count():
        tickets[number] = Ticket(number)
        if number % 20 == 0:
            sleep(0.02)


def wsgi(
    _: object, start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """Say how many have come."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(tickets)).encode()]
