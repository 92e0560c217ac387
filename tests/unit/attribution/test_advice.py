from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import MIB

from opentelemetry.instrumentation.memory._attribution.advice import advice
from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory.evidence import (
    AllocatorState,
    Conclusion,
    ContainerGrowth,
    Cost,
    Evidence,
    MappingGrowth,
    SiteGrowth,
    Skipped,
    TypeGrowth,
)
from opentelemetry.instrumentation.memory.model import GcGeneration, MemorySample

NOTHING = Evidence(None, None, 60.0, Conclusion("unsure", None, 0.0, ""))
LOOKED_AT = (Cost("containers", 0.1, 0.01), Cost("sites", 0.1, 0.01))
CALM = AllocatorState(1, 4, MIB, MIB // 2, MIB, 0, 0, 0)
# Grows by 1 MiB a second; censuses are 10 s apart.
PACE = float(MIB)
SECONDS = {"containers": 10.0}


def told(segment: Any, *, latest: MemorySample | None = None, **found: Any) -> list[str]:
    case = Case(segment, PACE, MemorySample(0.0, 1))
    return [each.text for each in advice(case, replace(NOTHING, **found), SECONDS, latest)]


def cache(entries: int, grown: int) -> ContainerGrowth:
    return ContainerGrowth("shop.cache._pages", "dict", 10, 10 + entries, (), grown)


def test_free_memory_that_malloc_trim_would_give_back_is_told_with_its_size() -> None:
    state = replace(CALM, trimmable_bytes=333 * MIB, free_bytes=400 * MIB)
    case = Case("retained", 0.0, MemorySample(0.0, 1))
    [piece] = advice(case, replace(NOTHING, allocator=state), {})
    assert piece.text == (
        "malloc_trim(0) would give back about 333.0 MiB now of 400.0 MiB that malloc holds free: "
        "ctypes.CDLL(None).malloc_trim(0) at a quiet moment"
    )
    assert piece.gain_bytes == 333 * MIB


def test_arenas_are_told_beside_threads_with_what_fewer_would_gain() -> None:
    state = replace(CALM, arenas=9, threads=12, free_bytes=120 * MIB,
                    spare_arenas_free_bytes=90 * MIB)  # fmt: skip
    [text] = told("retained", allocator=state)
    assert text.startswith("9 malloc arenas for 12 threads hold 120.0 MiB free: MALLOC_ARENA_MAX=2")
    assert "gain about 90.0 MiB" in text


def test_two_arenas_are_not_too_many() -> None:
    state = replace(CALM, arenas=2, spare_arenas_free_bytes=90 * MIB)
    assert told("retained", allocator=state) == []


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("top_bytes", "MALLOC_TRIM_THRESHOLD_"),
        ("object_arenas_free_bytes", "recycle workers"),
        ("given_back_bytes", "something calls malloc_trim already"),
    ],
)
def test_each_part_that_is_kept_has_its_remedy(part: str, words: str) -> None:
    [text] = told("retained", allocator=replace(CALM, **{part: 40 * MIB}))
    assert words in text
    assert "40.0 MiB" in text


def test_little_that_is_free_calls_for_nothing() -> None:
    assert told("retained", allocator=CALM) == []


def test_unknown_state_calls_for_nothing() -> None:
    unknown = AllocatorState(None, None, None, None, None)
    assert told("retained", allocator=unknown) == told("retained") == []


def test_largest_gain_comes_first() -> None:
    state = replace(CALM, arenas=9, trimmable_bytes=20 * MIB, spare_arenas_free_bytes=90 * MIB)
    first, second = told("retained", allocator=state)
    assert "MALLOC_ARENA_MAX" in first
    assert "malloc_trim(0)" in second


def test_native_growth_of_large_python_objects_is_told_as_python() -> None:
    [text] = told("native_heap", costs=LOOKED_AT, containers=(cache(1000, 9 * MIB),))
    assert text.startswith("90% of the native heap's growth is Python objects over 512 bytes")
    assert "shop.cache._pages gained 1,000 entries, 9.0 MiB" in text


def test_native_growth_that_python_does_not_explain_is_told_as_c() -> None:
    arenas = (
        MappingGrowth("malloc arena", 1, 3, 0, 10 * MIB),
        MappingGrowth("object arena", 40, 41, 40 * MIB, 41 * MIB),
    )
    [text] = told("native_heap", costs=LOOKED_AT, mappings=arenas)
    assert "explain 0%" in text
    assert text.endswith("C code keeps the rest (malloc arena +10.0 MiB)")


@pytest.mark.parametrize("segment", ["native_heap", "other_anonymous"])
def test_native_function_that_memray_has_named_is_told_with_its_pace(segment: str) -> None:
    sites = (
        SiteGrowth("native SSL_new", (), MIB, 9, MIB / 4, is_native=True),
        SiteGrowth("native inflate", (), MIB, 9, MIB / 2, is_native=True),
    )
    mapped = (MappingGrowth("anonymous", 1, 1, 0, MIB),)
    [text] = told(segment, costs=LOOKED_AT, sites=sites, mappings=mapped)
    assert "native inflate keeps 1,800.0 MiB an hour" in text
    assert "memray" not in text


def test_native_growth_is_not_called_c_where_code_lines_were_not_watched() -> None:
    skipped = (Skipped("sites", "too dear"),)
    [text] = told(
        "native_heap", costs=LOOKED_AT, skipped=skipped, containers=(cache(1000, 1 * MIB),)
    )
    assert text.startswith("what containers gained explains 10% of the native heap's growth")
    assert "in many small containers" in text


def test_native_growth_that_is_half_explained_is_left_open() -> None:
    [text] = told("native_heap", costs=LOOKED_AT, containers=(cache(1000, 4 * MIB),))
    assert "explain 40%" in text
    assert "may be C" in text


def test_native_growth_that_nobody_looked_into_is_not_called_c() -> None:
    skipped = (Skipped("containers", ""), Skipped("sites", ""))
    case = Case("native_heap", PACE, MemorySample(0.0, 1))
    for found in (NOTHING, replace(NOTHING, costs=LOOKED_AT, skipped=skipped)):
        assert list(advice(case, found, {})) == []


def test_native_growth_that_a_search_near_modules_leaves_open_is_told_as_open() -> None:
    skipped = (Skipped("containers", "types were not counted"), Skipped("sites", ""))
    [text] = told("native_heap", costs=LOOKED_AT, skipped=skipped)
    assert "code lines were not watched" in text


def test_more_thread_stacks_are_counted() -> None:
    stacks = MappingGrowth("thread stack", 4, 35, MIB, 2 * MIB)
    [text] = told("other_anonymous", mappings=(stacks,))
    assert text.startswith("31 more thread stacks (35 now, 1.0 MiB more resident)")


def test_more_mappings_of_a_size_are_counted() -> None:
    maps = MappingGrowth("16 MiB anonymous", 0, 31, 0, 496 * MIB)
    [text] = told("other_anonymous", mappings=(maps,))
    assert text.startswith("31 more 16 MiB anonymous mappings grew by 496.0 MiB")


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("shared memory", "SharedMemory"),
        ("anonymous", "mmap, or an allocator of its own"),
        ("anonymous (partition_alloc)", "mmap, or an allocator of its own"),
        ("file (.npy)", "taken back by the kernel"),
    ],
)
def test_each_kind_of_mapping_has_its_remedy(mapping: str, words: str) -> None:
    [text] = told("other_anonymous", mappings=(MappingGrowth(mapping, 1, 1, 0, MIB),))
    assert words in text
    assert "1.0 MiB" in text


def test_allocators_own_mappings_are_no_advice_for_other_memory() -> None:
    assert told("other_anonymous", mappings=(MappingGrowth("malloc heap", 1, 1, 0, MIB),)) == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"containers": (cache(1000, MIB),)}, "shop.cache._pages gained 1,000 entries, 1.0 MiB"),
        ({"types": (TypeGrowth("shop.Session", 5, 25, MIB),)}, "20 more shop.Session, 1.0 MiB"),
        ({"sites": (SiteGrowth("a.py:4", (), 1, 1, MIB / 3600),)}, "a.py:4 keeps 1.0 MiB an hour"),
    ],
)
def test_growing_python_heap_is_told_by_what_grew(found: dict[str, Any], words: str) -> None:
    [text] = told("python_heap", **found)
    assert words in text


def collected(seconds: float, collections: int, uncollectable: int, used: int) -> MemorySample:
    generations = (GcGeneration(collections, 0, uncollectable),)
    return MemorySample(seconds, 1, gc_generations=generations, heap_used_bytes=used)


def on_garbage(after: MemorySample) -> list[str]:
    case = Case("python_heap", PACE, collected(0.0, 7, 1, MIB))
    return [each.text for each in advice(case, NOTHING, {}, after)]


def test_collector_that_has_stood_still_while_the_heap_grew_is_told() -> None:
    [text] = on_garbage(collected(90.0, 7, 1, 5 * MIB))
    assert "has not run once in 90 s while the heap grew by 4.0 MiB" in text


@pytest.mark.parametrize(
    "after",
    [collected(90.0, 8, 1, 5 * MIB), collected(90.0, 7, 1, MIB), collected(9.0, 7, 1, 5 * MIB)],
    ids=["it ran", "no growth", "too early"],
)
def test_collector_that_had_no_reason_to_run_is_not_told(after: MemorySample) -> None:
    assert on_garbage(after) == []


def test_uncollectable_objects_are_counted() -> None:
    [text] = on_garbage(collected(90.0, 9, 31, MIB))
    assert text.startswith("the garbage collector has put 30 more uncollectable objects")


sizes = st.none() | st.integers(0, 2**40)


@given(
    st.sampled_from(["python_heap", "native_heap", "retained", "other_anonymous", None]),
    st.builds(AllocatorState, sizes, sizes, sizes, sizes, sizes, sizes, sizes, sizes),
    st.lists(
        st.builds(
            MappingGrowth,
            st.sampled_from(["thread stack", "anonymous", "shared memory", "libc.so.6"]),
            *[st.integers(0, 10**6)] * 4,
        ),
        max_size=10,
    ),
)
def test_at_most_five_pieces_and_each_has_a_number(
    segment: Any, state: AllocatorState, mappings: list[MappingGrowth]
) -> None:
    texts = told(segment, allocator=state, mappings=tuple(mappings), costs=LOOKED_AT)
    assert len(texts) <= 5
    # Digits that are part of a name say nothing of this process.
    said = [text.replace("malloc_trim(0)", "").replace("ARENA_MAX=2", "") for text in texts]
    said = [re.sub(r"THRESHOLD_=\d+|libc\.so\.6|over 512 bytes", "", text) for text in said]
    assert all(any(letter.isdigit() for letter in text) for text in said), texts
