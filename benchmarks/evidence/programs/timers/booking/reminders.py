from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from booking.desk import Booking

sent: Counter[int] = Counter()


def _send(booking: Booking) -> None:
    sent[len(booking.nights)] += 1


def remind_later(booking: Booking, seconds: float) -> None:
    timer = threading.Timer(seconds, _send, args=(booking,))  # culprit
    timer.daemon = True
    timer.start()  # culprit
