from __future__ import annotations

from shipping.events import order_paid, parcel_sent


class Parcel:
    """Waits for its order to be paid."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.items = [(order * 31 + index, index % 3 + 1) for index in range(4)]  # culprit
        self.is_sent = False

    def on_paid(self, _: object, order: int) -> None:
        if order == self.order:
            self.is_sent = True
            parcel_sent.send(self, order=order)


def await_payment(order: int, *, must_not_get_lost: bool) -> Parcel:
    parcel = Parcel(order)  # culprit
    order_paid.connect(parcel.on_paid, weak=not must_not_get_lost)  # culprit
    return parcel
