from __future__ import annotations

from collections import deque
from weakref import WeakValueDictionary

from chat.room import Room

# Weak, so that whoever leaves is gone.
_open: WeakValueDictionary[int, Connection] = WeakValueDictionary()


class Connection:
    def __init__(self, number: int, room: Room) -> None:
        self.number = number
        self.room = room
        self.received: deque[str] = deque(maxlen=20)  # culprit
        room.on_message(self.receive)  # culprit

    def receive(self, text: str) -> None:
        self.received.append(text)

    def close(self) -> None:
        self.room.forget(self.receive)


def connect(number: int, room: Room) -> Connection:
    connection = Connection(number, room)  # culprit
    _open[number] = connection
    return connection
