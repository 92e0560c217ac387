from __future__ import annotations

import asyncio

from feed.clients import Client

_deliveries: set[asyncio.Task[None]] = set()


async def deliver(client: Client, quote: dict[str, float]) -> None:
    await client.send(quote)  # culprit


async def publish_and_wait(clients: list[Client], quote: dict[str, float]) -> None:
    await asyncio.gather(*(deliver(client, quote) for client in clients))


def publish(clients: list[Client], quote: dict[str, float]) -> None:
    """Start the deliveries and be gone: a slow client shall hold nobody up."""
    for client in clients:
        task = asyncio.create_task(deliver(client, dict(quote)))  # culprit
        _deliveries.add(task)  # culprit
        task.add_done_callback(_deliveries.discard)  # culprit
