from __future__ import annotations

import asyncio


class Client:
    """A connection; a slow one takes its time to say that it is ready again."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_ready = asyncio.Event()
        self.is_ready.set()
        self.received = 0

    async def send(self, quote: dict[str, float]) -> None:
        await self.is_ready.wait()  # culprit
        self.received += len(quote)
