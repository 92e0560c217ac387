from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opentelemetry.instrumentation.memory._attribution.native_origin import python_share
from opentelemetry.instrumentation.memory.evidence import (
    Conclusion,
    ContainerGrowth,
    Cost,
    Evidence,
    SiteGrowth,
    Skipped,
    TypeGrowth,
)

LOOKED_AT = Evidence(
    "native_heap",
    None,
    60.0,
    Conclusion("unsure", None, 0.0, ""),
    costs=(Cost("containers", 0.1, 0.01), Cost("sites", 0.1, 0.01)),
)
PACE = 1000.0


def share(**found: Any) -> float | None:
    return python_share(replace(LOOKED_AT, **found), PACE, {"containers": 10.0})


def container(entries: int, grown: int) -> ContainerGrowth:
    return ContainerGrowth("a.b", "dict", 0, entries, (), grown)


def site(blocks: int, grown: int, rate: float, *, is_native: bool = False) -> SiteGrowth:
    return SiteGrowth("a.py:1", (), grown, blocks, rate, is_native)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, 0.0),
        # A class's basic size says nothing of what its objects hold.
        ({"types": (TypeGrowth("shop.Page", 0, 5, 5000),)}, 0.0),
        ({"containers": (container(4, 4000), container(4, 3000))}, 0.4),
        ({"containers": (container(10, 5120),)}, 0.0),
        ({"containers": (container(10, 5130),)}, 0.513),
        ({"sites": (site(5, 5000, 300.0), site(500, 5000, 300.0))}, 0.3),
        ({"sites": (site(5, 5000, 300.0, is_native=True),)}, 0.0),
        ({"containers": (container(4, 5000),), "sites": (site(5, 5000, 300.0),)}, 0.5),
        ({"sites": (site(5, 5000, 5000.0),)}, 1.0),
    ],
)
def test_share_of_large_python_objects(found: dict[str, Any], expected: float) -> None:
    assert share(**found) == pytest.approx(expected)


def test_share_is_unknown_where_nobody_looked() -> None:
    for found in (
        replace(LOOKED_AT, costs=()),
        replace(LOOKED_AT, skipped=(Skipped("containers", ""), Skipped("sites", ""))),
    ):
        assert python_share(found, PACE, {}) is None


def test_containers_near_modules_count_where_a_large_heap_was_not_searched_as_a_whole() -> None:
    skipped = (Skipped("containers", "types were not counted"),)
    assert share(containers=(container(4, 4000),), skipped=skipped) == pytest.approx(0.4)


def test_share_is_unknown_of_growth_that_is_unknown() -> None:
    assert python_share(LOOKED_AT, 0.0, {"containers": 10.0}) is None
