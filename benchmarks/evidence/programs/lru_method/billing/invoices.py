from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from billing.orders import Order
from billing.tax import TaxRules

rules = TaxRules(2026)
recent: deque[Invoice] = deque(maxlen=500)


@dataclass
class Invoice:
    order: Order
    gross_cents: int


def issue(order: Order, *, by_address: bool) -> Invoice:
    rate = rules.applied(order.ships_to) if by_address else rules.by_country(order.ships_to)
    invoice = Invoice(order, round(order.net_cents * (1 + sum(rate.values()) % 1)))
    recent.append(invoice)
    return invoice
