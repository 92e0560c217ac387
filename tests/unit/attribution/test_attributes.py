"""What an instance holds by which name, and that to ask leaves nothing behind."""

from __future__ import annotations

import gc
from functools import cached_property
from typing import Any

import pytest

from opentelemetry.instrumentation.memory._attribution.attributes import (
    attribute_of,
    dict_of,
    is_dict_of,
)

WORDS = frozenset({"orders", "limit", "total", "settings", "__dict__", "__class__", "late"})


class Shop:
    late: object = None

    def __init__(self) -> None:
        self.orders = ["an order"]
        self.limit = None

    def set_up(self, settings: dict[str, object]) -> None:
        self.settings = settings

    @property
    def total(self) -> int:
        raise AssertionError("code of the application has run")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("code of the application has run")


class Report:
    @cached_property
    def rows(self) -> list[int]:
        return []


def referred(owner: object) -> list[int]:
    return list(map(id, gc.get_referents(owner)))


def test_attribute_is_found_by_what_it_holds() -> None:
    shop = Shop()
    assert attribute_of(shop, shop.orders, WORDS) == "orders"


def test_attribute_that_hides_one_of_the_class_is_found() -> None:
    shop = Shop()
    shop.late = ["a delivery"]
    assert attribute_of(shop, shop.late, WORDS) == "late"


def test_attribute_is_not_told_by_a_name_that_is_no_word() -> None:
    shop = Shop()
    assert attribute_of(shop, shop.orders, WORDS - {"orders"}) is None


def test_attribute_that_no_method_uses_is_found() -> None:
    shop: Any = Shop()
    shop.extra = {"sku": "a-1"}
    assert attribute_of(shop, shop.extra, WORDS | {"extra"}) == "extra"


def test_dictionary_of_the_instance_is_no_attribute() -> None:
    shop = Shop()
    assert attribute_of(shop, vars(shop), WORDS) is None


@pytest.mark.parametrize("owner", [[1], {"orders": 1}, (1,), range(1)])
def test_what_has_no_attributes_has_no_name_for_what_it_holds(owner: object) -> None:
    assert attribute_of(owner, 1, WORDS) is None
    assert dict_of(owner) is None


def test_instance_has_no_dictionary_more_than_before() -> None:
    shop = Shop()
    before = referred(shop)
    attribute_of(shop, shop.orders, WORDS)
    attribute_of(shop, object(), WORDS)
    dict_of(shop)
    is_dict_of(shop, {"orders": shop.orders})
    assert referred(shop) == before


def test_dictionary_that_python_has_made_is_found_among_what_is_referred_to() -> None:
    shop = Shop()
    # So many that Python 3.13, too, keeps them in the dictionary and not in the instance.
    for number in range(100):
        setattr(shop, f"made_{number}", [number])
    assert dict_of(shop) is vars(shop)


@pytest.mark.parametrize("attributes", [10, 5000])
def test_dictionary_of_an_instance_is_found_however_large(attributes: int) -> None:
    shop = Shop()
    for number in range(attributes):
        setattr(shop, f"made_{number}", [number])
    assert is_dict_of(shop, vars(shop))


def test_dictionary_with_nothing_but_cached_properties_is_found() -> None:
    report = Report()
    report.rows.append(1)
    assert is_dict_of(report, vars(report))


def test_dictionary_that_an_attribute_holds_is_not_taken_for_that_of_the_instance() -> None:
    shop = Shop()
    shop.set_up({"orders": ["another order"], "limit": None})
    assert not is_dict_of(shop, shop.settings)


def test_attribute_that_looks_like_the_dictionary_is_found_as_the_attribute() -> None:
    shop = Shop()
    shop.set_up({"limit": None})
    assert attribute_of(shop, shop.settings, WORDS) == "settings"
