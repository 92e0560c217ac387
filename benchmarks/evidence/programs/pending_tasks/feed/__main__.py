from __future__ import annotations

import asyncio
import random

import rollout

from feed.clients import Client
from feed.fanout import publish, publish_and_wait


async def main() -> None:
    clients = [Client(number) for number in range(40)]
    while True:
        quote = {"bid": random.random(), "ask": random.random()}
        if rollout.is_live():
            for client in clients[::8]:
                client.is_ready.clear()
            publish(clients, quote)
        else:
            await publish_and_wait(clients, quote)
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main())
