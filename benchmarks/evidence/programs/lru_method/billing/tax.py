"""What is to be added to a price, and where."""

from __future__ import annotations

from functools import lru_cache

from billing.orders import Address

_PERCENT = {"FR": 20, "DE": 19, "NL": 21}


@lru_cache(maxsize=64)
def percent(country: str) -> int:
    return _PERCENT[country]


class TaxRules:
    def __init__(self, year: int) -> None:
        self.year = year

    @lru_cache(maxsize=None)
    def applied(self, address: Address) -> dict[str, float]:
        rate = percent(address.country)
        return {
            "rate": rate / 100,
            "surcharge": len(address.postcode) / 1000,
            "year": self.year,
        }  # culprit

    def by_country(self, address: Address) -> dict[str, float]:
        return {"rate": percent(address.country) / 100}
