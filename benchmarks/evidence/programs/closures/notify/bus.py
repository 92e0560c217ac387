"""Who wants to hear of what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

Callback = Callable[[str], int]


class Bus:
    def __init__(self) -> None:
        self.listeners: defaultdict[str, list[Callback]] = defaultdict(list)

    def subscribe(self, topic: str, callback: Callback) -> Callable[[], None]:
        self.listeners[topic].append(callback)  # culprit

        def cancel() -> None:
            self.listeners[topic].remove(callback)

        return cancel

    def publish(self, topic: str, text: str) -> int:
        return sum(callback(text) for callback in self.listeners[topic][:50])


bus = Bus()
