from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import MIB

from opentelemetry.instrumentation.memory._probes.base import Allocator, Resident
from opentelemetry.instrumentation.memory._sampling.partition import partition
from opentelemetry.instrumentation.memory.model import Partition

sizes = st.integers(0, 2**44)
residents = st.builds(
    Resident, resident_bytes=sizes, virtual_bytes=sizes, mapped_bytes=st.none() | sizes
)
# Nothing is assumed of them: not that less is used than obtained, nor that either is resident.
allocators = st.builds(Allocator, sizes, sizes)
absent_or = {
    "objects": st.none() | allocators,
    "native": st.none() | allocators,
    "shared": st.none() | sizes,
}


def test_figures_that_fit_are_told_as_they_are() -> None:
    assert partition(
        Resident(100 * MIB, 400 * MIB, 12 * MIB),
        objects=Allocator(30 * MIB, 32 * MIB),
        native=Allocator(40 * MIB, 44 * MIB),
        shared_bytes=2 * MIB,
    ) == Partition(
        python_heap_bytes=30 * MIB,
        native_heap_bytes=40 * MIB,
        retained_bytes=6 * MIB,
        other_anonymous_bytes=12 * MIB,
        file_bytes=10 * MIB,
        shared_bytes=2 * MIB,
    )


@given(resident=residents, **absent_or)
def test_parts_add_up_to_the_resident_set_and_none_is_negative(
    resident: Resident, objects: Allocator | None, native: Allocator | None, shared: int | None
) -> None:
    parts = partition(resident, objects, native, shared).present()
    assert sum(part for _, part in parts) == resident.resident_bytes
    assert all(part >= 0 for _, part in parts)


@given(resident=residents, **absent_or)
def test_segment_is_absent_exactly_where_its_source_is(
    resident: Resident, objects: Allocator | None, native: Allocator | None, shared: int | None
) -> None:
    parts = partition(resident, objects, native, shared)
    assert (parts.python_heap_bytes is None) == (objects is None)
    assert (parts.native_heap_bytes is None) == (native is None)
    assert (parts.retained_bytes is None) == (objects is None and native is None)
    is_unsplit = resident.mapped_bytes is None or shared is None
    assert (parts.file_bytes is None) == is_unsplit
    assert (parts.shared_bytes is None) == is_unsplit
    assert parts.other_anonymous_bytes is not None


@given(resident=residents, **absent_or)
def test_no_segment_holds_more_than_its_source_tells(
    resident: Resident, objects: Allocator | None, native: Allocator | None, shared: int | None
) -> None:
    parts = partition(resident, objects, native, shared)
    if objects is not None:
        assert parts.python_heap_bytes <= objects.used_bytes
    if native is not None:
        assert parts.native_heap_bytes <= native.used_bytes
    if parts.shared_bytes is not None:
        assert parts.shared_bytes <= shared


@given(resident=residents, objects=allocators, native=allocators)
def test_untouched_bytes_come_off_retained_then_native_heap_then_python_heap(
    resident: Resident, objects: Allocator, native: Allocator
) -> None:
    parts = partition(resident, objects, native, 0)
    if parts.native_heap_bytes < native.used_bytes:
        assert parts.retained_bytes == 0
    if parts.python_heap_bytes < objects.used_bytes:
        assert parts.retained_bytes == parts.native_heap_bytes == 0
    free_bytes = max(objects.committed_bytes - objects.used_bytes, 0) + max(
        native.committed_bytes - native.used_bytes, 0
    )
    assert parts.retained_bytes <= free_bytes
    if parts.retained_bytes < free_bytes:
        assert parts.other_anonymous_bytes == 0


@pytest.mark.parametrize(
    ("private_mib", "python_mib", "native_mib", "retained_mib", "other_mib"),
    [
        (200, 30, 40, 30, 100),
        (100, 30, 40, 30, 0),
        (80, 30, 40, 10, 0),
        (60, 30, 30, 0, 0),
        (20, 20, 0, 0, 0),
    ],
)
def test_shrinking_room_takes_segments_off_in_order(
    private_mib: int, python_mib: int, native_mib: int, retained_mib: int, other_mib: int
) -> None:
    parts = partition(
        Resident((private_mib + 5) * MIB, 900 * MIB, 5 * MIB),
        objects=Allocator(30 * MIB, 40 * MIB),
        native=Allocator(40 * MIB, 60 * MIB),
        shared_bytes=0,
    )
    assert parts == Partition(
        python_mib * MIB, native_mib * MIB, retained_mib * MIB, other_mib * MIB, 5 * MIB, 0
    )


def test_bytes_of_absent_sources_are_in_other_anonymous() -> None:
    resident = Resident(100 * MIB, 400 * MIB, 12 * MIB)
    objects = Allocator(30 * MIB, 32 * MIB)
    without_malloc = partition(resident, objects, None, 0)
    assert without_malloc == Partition(30 * MIB, None, 2 * MIB, 56 * MIB, 12 * MIB, 0)
    without_split = partition(resident, objects, None, None)
    assert without_split == Partition(30 * MIB, None, 2 * MIB, 68 * MIB)
    nothing_known = partition(Resident(100 * MIB, 400 * MIB, None), None, None, None)
    assert nothing_known == Partition(other_anonymous_bytes=100 * MIB)
