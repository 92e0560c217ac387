from __future__ import annotations

from collections.abc import Callable


class Room:
    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.listeners: list[Callable[[str], None]] = []

    def on_message(self, listener: Callable[[str], None]) -> None:
        self.listeners.append(listener)  # culprit

    def forget(self, listener: Callable[[str], None]) -> None:
        self.listeners.remove(listener)

    def say(self, text: str) -> None:
        for listener in self.listeners[-30:]:
            listener(text)
