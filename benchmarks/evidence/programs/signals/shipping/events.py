from __future__ import annotations

from blinker import Signal

order_paid = Signal("order was paid")
parcel_sent = Signal("parcel was sent")
