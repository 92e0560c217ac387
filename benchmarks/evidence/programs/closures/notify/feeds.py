from __future__ import annotations

from collections.abc import Callable
from itertools import count

from notify.bus import bus

_readers = count(1)
TOPICS = ("politics", "sports", "science", "weather", "arts")


def connect(topic: str) -> Callable[[], None]:
    """A reader opens the page; what it has not read yet is kept while it is there."""
    reader = next(_readers)
    unread = [f"{topic}/{reader}/{index}" for index in range(4)]  # culprit

    def on_article(text: str) -> int:  # culprit
        unread[reader % 4] = text
        return len(unread)

    return bus.subscribe(topic, on_article)
