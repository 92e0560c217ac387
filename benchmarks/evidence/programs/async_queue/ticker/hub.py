from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass
class Tick:
    price: int
    depth: list[tuple[int, int]]


class Hub:
    def __init__(self) -> None:
        self.inboxes: list[asyncio.Queue[Tick]] = []
        self.last: Tick | None = None

    def subscribe(self) -> asyncio.Queue[Tick]:
        inbox: asyncio.Queue[Tick] = asyncio.Queue()
        self.inboxes.append(inbox)
        return inbox

    def publish(self, price: int) -> None:
        self.last = Tick(price, [(price - 1, price % 90), (price + 1, price % 70)])  # culprit
        for inbox in self.inboxes:
            inbox.put_nowait(self.last)  # culprit
