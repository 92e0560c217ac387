from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._attribution.conclusion import conclude
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory.evidence import (
    AllocatorState,
    Conclusion,
    ContainerGrowth,
    Cost,
    Evidence,
    MappingGrowth,
    RouteGrowth,
    SiteGrowth,
    Skipped,
    TypeGrowth,
)
from opentelemetry.instrumentation.memory.model import MemorySample, Segment

MIB = 2**20
PACE = 1.0 * MIB
# Each kind has watched for ten seconds, so ten mebibytes are to be explained.
SECONDS: dict[Any, float] = {"containers": 10.0, "mappings": 10.0}
LOOKED = (Cost("containers", 0.1, 0.01), Cost("sites", 0.1, 0.01))

SESSIONS = ContainerGrowth(
    "shop.cache._sessions", "dict", 12_400, 31_900, (("shop.models.Session", 50),), 9 * MIB
)
NOISE = ContainerGrowth("shop.log._recent", "list", 10, 40, (), MIB // 2)
LINE = SiteGrowth("shop/views.py:42", (), 9 * MIB, 9000, 0.9 * MIB)
OTHER_LINE = SiteGrowth("shop/log.py:7", (), MIB // 10, 90, 0.01 * MIB)
BUFFERS = MappingGrowth("anonymous", 4, 14, 4 * MIB, 14 * MIB)


def answer(segment: Segment | None = "python_heap", **found: Any) -> Conclusion:
    evidence = Evidence(segment, None, 60.0, Conclusion("unsure", None, 0.0, ""), **found)
    return conclude(Case(segment, PACE, MemorySample(0.0, 7)), evidence, SECONDS)


def test_container_that_explains_the_growth_is_the_answer() -> None:
    told = answer(containers=(NOISE, SESSIONS))
    assert (told.kind, told.culprit) == ("container", "shop.cache._sessions")
    assert told.confidence > 0.9
    assert "from 12,400 to 31,900 entries, mostly shop.models.Session" in told.sentence


def test_line_and_route_are_told_along_with_the_container() -> None:
    route = RouteGrowth("GET /cart", 1000, 1200.0, 1100.0, 1300.0)
    told = answer(containers=(SESSIONS,), sites=(LINE,), routes=(route,))
    assert "shop/views.py:42" in told.sentence
    assert "GET /cart (1,200 bytes a request)" in told.sentence


def test_container_that_explains_little_of_the_growth_is_no_answer() -> None:
    told = answer(containers=(NOISE,))
    assert (told.kind, told.culprit) == ("unsure", None)


def test_two_containers_that_gained_as_many_entries_are_one_answer() -> None:
    index = ContainerGrowth("shop.cache._by_name", "dict", 100, 19_600, (), 8 * MIB)
    assert answer(containers=(SESSIONS, index)).confidence > 0.9


def test_two_containers_that_grew_apart_make_the_answer_less_sure() -> None:
    rival = ContainerGrowth("shop.cache._carts", "dict", 100, 4_000, (), 8 * MIB)
    alone = answer(containers=(SESSIONS,)).confidence
    assert answer(containers=(SESSIONS, rival)).confidence < 0.7 * alone


def test_line_is_the_answer_where_no_container_grew() -> None:
    told = answer(sites=(OTHER_LINE, LINE))
    assert (told.kind, told.culprit) == ("site", "shop/views.py:42")


def test_lines_of_which_none_stands_out_are_no_answer() -> None:
    lines = [SiteGrowth(f"shop/m.py:{n}", (), MIB, 10, 0.1 * MIB) for n in range(10)]
    assert answer(sites=tuple(lines)).kind == "unsure"


def test_type_is_the_answer_where_nobody_holds_it() -> None:
    models = TypeGrowth("pydantic.main.ModelMetaclass", 100, 900, 8 * MIB)
    told = answer(types=(models, TypeGrowth("builtins.dict", 1000, 1100, MIB)))
    assert (told.kind, told.culprit) == ("type", "pydantic.main.ModelMetaclass")


def test_route_is_the_answer_where_only_routes_are_known() -> None:
    told = answer(routes=(RouteGrowth("GET /cart", 1000, 1200.0, 1100.0, 1300.0),))
    assert (told.kind, told.culprit) == ("route", "GET /cart")


def test_route_that_explains_little_of_the_growth_is_no_answer() -> None:
    route = RouteGrowth("GET /cart", 100, 20.0, 10.0, 30.0)
    unsure = Conclusion("unsure", None, 0.0, "")
    evidence = Evidence("python_heap", None, 400.0, unsure, routes=(route,))
    told = conclude(Case("python_heap", PACE, MemorySample(0.0, 7)), evidence, {"routes": 400.0})
    assert told.kind == "unsure"


def test_native_growth_without_python_objects_is_c_code() -> None:
    told = answer("native_heap", containers=(NOISE,), sites=(OTHER_LINE,), costs=LOOKED)
    assert told.kind == "native"
    assert told.confidence > 0.9


def test_native_growth_is_not_blamed_on_c_where_python_was_not_looked_at() -> None:
    skipped = (Skipped("sites", "the application traces allocations itself"),)
    assert answer("native_heap", costs=LOOKED, skipped=skipped).kind == "unsure"


def test_native_growth_is_c_code_also_where_a_large_heap_was_searched_in_part() -> None:
    skipped = (Skipped("containers", "types were not counted"),)
    told = answer("native_heap", sites=(OTHER_LINE,), costs=LOOKED, skipped=skipped)
    assert told.kind == "native"


def test_native_growth_is_not_blamed_on_c_where_containers_were_not_compared() -> None:
    unsure = Conclusion("unsure", None, 0.0, "")
    evidence = Evidence("native_heap", None, 60.0, unsure, sites=(OTHER_LINE,), costs=LOOKED)
    told = conclude(Case("native_heap", PACE, MemorySample(0.0, 7)), evidence, {"mappings": 10.0})
    assert told.kind != "native"


def test_bytes_in_a_cache_are_not_blamed_on_c() -> None:
    told = answer("native_heap", containers=(SESSIONS,), sites=(LINE,), costs=LOOKED)
    assert told.kind == "container"


def test_growing_mappings_are_the_answer_to_growth_outside_of_both_heaps() -> None:
    told = answer("other_anonymous", mappings=(BUFFERS,))
    assert (told.kind, told.culprit) == ("mapping", "anonymous")
    assert "10 more of them" in told.sentence


def test_container_that_gained_as_many_entries_as_there_are_new_mappings_holds_them() -> None:
    held = ContainerGrowth("shop.images._buffers", "list", 3, 13, (("mmap.mmap", 10),), 1000)
    told = answer("other_anonymous", mappings=(BUFFERS,), containers=(held,))
    assert (told.kind, told.culprit) == ("container", "shop.images._buffers")


def test_free_memory_is_fragmentation_whatever_else_grew() -> None:
    state = AllocatorState(9, 12, 333 * MIB, 300 * MIB, 0)
    told = answer("retained", allocator=state, containers=(SESSIONS,))
    assert told.kind == "fragmentation"
    assert "333.0 MiB" in told.sentence


def test_nothing_found_is_said_plainly() -> None:
    told = answer()
    assert told.kind == "unsure"
    assert told.sentence == "unsure: nothing was seen to grow while it was watched"


def held(held_by: str | None) -> ContainerGrowth:
    return ContainerGrowth(None, "list", 0, 5_000, (("shop.Node", 50),), 9 * MIB, held_by)


def test_container_without_a_path_is_named_by_what_it_is_and_who_holds_it() -> None:
    told = answer(containers=(held("held outside Python by grpc.Channel"),))
    assert told.culprit == "list of shop.Node, held outside Python by grpc.Channel"


@pytest.mark.parametrize(
    "held_by",
    [
        None,
        "held outside Python",
        "a local variable of a running function (shop.poll, shop.report), or held outside Python",
    ],
)
def test_container_that_nobody_is_known_to_hold_is_no_answer(held_by: str | None) -> None:
    told = answer(containers=(held(held_by), NOISE))
    assert (told.kind, told.culprit) == ("unsure", None)


def test_type_is_the_answer_where_its_container_has_no_place() -> None:
    nodes = TypeGrowth("shop.Node", 0, 5_000, 9 * MIB)
    told = answer(containers=(held("held outside Python"), NOISE), types=(nodes,))
    assert (told.kind, told.culprit) == ("type", "shop.Node")


def test_container_is_the_answer_where_only_the_one_within_has_no_place() -> None:
    queue = ContainerGrowth("shop.orders", "queue.Queue", 0, 5_000, (), 8 * MIB)
    told = answer(containers=(held("held outside Python"), queue))
    assert told.culprit == "shop.orders"
    assert told.confidence > 0.9


bytes_grown = st.integers(1, 100 * MIB)


@given(
    st.sampled_from(["python_heap", "native_heap", "other_anonymous", "retained", None]),
    st.lists(bytes_grown, max_size=5),
    st.lists(bytes_grown, max_size=5),
    st.lists(bytes_grown, max_size=5),
)
def test_confidence_is_a_share_and_unsure_names_nobody(
    segment: Segment | None, containers: list[int], sites: list[int], mappings: list[int]
) -> None:
    told = answer(
        segment,
        containers=tuple(
            ContainerGrowth(f"m.c{n}", "dict", 1, 2 + n, (), size)
            for n, size in enumerate(containers)
        ),
        sites=tuple(
            SiteGrowth(f"m.py:{n}", (), size, 1, size / 10) for n, size in enumerate(sites)
        ),
        mappings=tuple(MappingGrowth(f"m{n}", 1, 1, 0, size) for n, size in enumerate(mappings)),
        costs=LOOKED,
    )
    assert 0 <= told.confidence <= 1
    assert (told.kind == "unsure") == (told.culprit is None)


def test_few_more_entries_in_a_healthy_process_are_no_answer() -> None:
    few = ContainerGrowth("shop.log._recent", "list", 10, 15, (), 2_000)
    evidence = Evidence(None, None, 60.0, Conclusion("unsure", None, 0.0, ""), containers=(few,))
    told = conclude(Case(None, 0.0, MemorySample(0.0, 7)), evidence, {"containers": 5.0})
    assert told.kind == "unsure"


@pytest.mark.parametrize("segment", ["python_heap", "native_heap", None])
def test_answer_is_given_where_no_pace_is_known(segment: Segment | None) -> None:
    evidence = Evidence(
        segment, None, 60.0, Conclusion("unsure", None, 0.0, ""), containers=(SESSIONS,)
    )
    told = conclude(Case(segment, 0.0, MemorySample(0.0, 7)), evidence, {})
    assert told.culprit == "shop.cache._sessions"
