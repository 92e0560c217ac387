"""The resident set, split so that the parts add up and none is negative."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory.model import Partition

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._probes.base import Allocator, Resident


def partition(
    resident: Resident,
    objects: Allocator | None,
    native: Allocator | None,
    shared_bytes: int | None,
) -> Partition:
    """Return the segments of one resident set, in bytes.

    Allocators count what they handed out, the kernel what was touched. Where the allocators claim
    more than is private and resident, pages were reserved and never touched: those are taken off
    `retained` first, then off the native heap, last off the python heap. What nobody claims is
    `other_anonymous`, and so is whatever belongs to a source that is absent.
    """
    # The figures come from several moments and several hands, so none is trusted to fit.
    room = resident.resident_bytes
    mapped = min(resident.mapped_bytes or 0, room)
    room -= mapped
    python_heap = native_heap = retained = None
    if objects is not None:
        python_heap = min(objects.used_bytes, room)
        room -= python_heap
    if native is not None:
        native_heap = min(native.used_bytes, room)
        room -= native_heap
    if objects is not None or native is not None:
        retained = min(_free_bytes(objects) + _free_bytes(native), room)
        room -= retained
    if resident.mapped_bytes is None or shared_bytes is None:
        return Partition(python_heap, native_heap, retained, room + mapped)
    shared = min(shared_bytes, mapped)
    return Partition(python_heap, native_heap, retained, room, mapped - shared, shared)


def _free_bytes(allocator: Allocator | None) -> int:
    return 0 if allocator is None else max(allocator.committed_bytes - allocator.used_bytes, 0)
