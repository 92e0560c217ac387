from __future__ import annotations

from collections import deque

from ticker.hub import Hub


class Listener:
    def __init__(self, hub: Hub) -> None:
        self.inbox = hub.subscribe()
        self.recent: deque[int] = deque(maxlen=100)

    async def read(self) -> None:
        while True:
            self.recent.append((await self.inbox.get()).price)
