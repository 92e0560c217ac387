from __future__ import annotations

import asyncio

import rollout

from ticker.hub import Hub
from ticker.listener import Listener


async def main() -> None:
    hub = Hub()
    listeners = [Listener(hub) for _ in range(8)]
    reading = [asyncio.create_task(listener.read()) for listener in listeners]
    price = 10_000
    while True:
        for _ in range(10):
            price += hash(("tick", price)) % 5 - 2
            hub.publish(price)
        if rollout.is_live() and len(reading) == 8:
            # A connection is gone, and the hub is not told.
            reading.pop().cancel()
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main())
