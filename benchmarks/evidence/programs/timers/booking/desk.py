from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from booking.reminders import remind_later


@dataclass
class Booking:
    number: int
    nights: list[int]


_recent: deque[Booking] = deque(maxlen=30)


def book(number: int, reminder_seconds: float) -> Booking:
    booking = Booking(number, [number % 365 + night for night in range(3)])
    _recent.append(booking)
    remind_later(booking, reminder_seconds)
    return booking
