from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable


class Settings:
    def __init__(self) -> None:
        self._values = {"limit": 20, "retries": 3}
        self._watchers: defaultdict[str, list[Callable[[int], None]]] = defaultdict(list)

    def get(self, name: str) -> int:
        return self._values[name]

    def on_change(self, name: str, call: Callable[[int], None]) -> None:
        self._watchers[name].append(call)  # culprit

    def change(self, name: str, value: int) -> None:
        self._values[name] = value
        for call in self._watchers[name]:
            call(value)


settings = Settings()
