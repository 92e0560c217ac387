from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple


class Address(NamedTuple):
    country: str
    postcode: str
    street: str


@dataclass(frozen=True)
class Order:
    number: int
    net_cents: int
    ships_to: Address


def next_order(number: int) -> Order:
    street = f"{random.choice(('Long', 'High', 'Mill', 'Park'))} Street {random.randrange(9_999)}"  # culprit
    address = Address(
        random.choice(("FR", "DE", "NL")), f"{random.randrange(99_999):05}", street
    )  # culprit
    return Order(number, random.randrange(100, 90_000), address)
