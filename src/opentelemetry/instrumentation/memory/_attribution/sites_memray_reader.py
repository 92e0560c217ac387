"""Reads a record of memray in a process of its own; run as a script, never imported.

Arguments: the record, milliseconds from its beginning to each look but the last (with commas), the
segment, and where to import memray from. Writes one JSON object with what was alive at each look
and at the end, by stack of Python lines and, where C code allocated it, its function.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import PurePath
from typing import Any

MOST_STACKS = 500
MOST_FRAMES = 16
MOST_C_FRAMES = 64
# Functions between the code that wants memory and the system.
BETWEEN = ("malloc", "calloc", "realloc", "operator new", "posix_memalign", "mmap", "_Znw", "ffi_")
# Arenas of the object allocator: what is in them counts as Python objects.
ARENAS = {"_PyObject_ArenaMmap", "_PyObject_ArenaMalloc", "new_arena"}
SOURCES_OF_PYTHON = ("Objects/", "Python/", "Modules/", "Include/", "Parser/")
PYTHON = ("Py", "_Py", "list_resize", "dictresize")


def main() -> None:
    """Write the answer to standard output."""
    record, milliseconds, segment, folder = sys.argv[1:]
    sys.path.append(folder)
    import memray  # noqa: PLC0415 - may be in that folder alone

    kinds = _kinds(memray, segment)
    snapshots = _snapshots_after(memray, record, [int(each) for each in milliseconds.split(",")])
    reader = memray.FileReader(record)
    has_c = reader.metadata.has_native_traces
    stacks = []
    for each in reader.get_temporal_allocation_records(merge_threads=True):
        if each.allocator in kinds and not (has_c and _is_arena(each)):
            live = [_live(each.intervals, snapshot) for snapshot in (*snapshots, None)]
            if max(live)[0]:
                stacks.append((max(live)[0], each, live))
    stacks.sort(key=lambda each: -each[0])
    told = [
        {
            "frames": [(file, line) for _, file, line in each.stack_trace(max_stacks=MOST_FRAMES)],
            "c": _c_function(each) if has_c else None,
            "live": live,
        }
        for _, each, live in stacks[:MOST_STACKS]
    ]
    json.dump({"stacks": told, "cpu_seconds": time.process_time()}, sys.stdout)


def _kinds(memray: Any, segment: str) -> set[int]:
    """Return the allocators that put blocks into a segment."""
    every = {int(kind) for kind in memray.AllocatorType}
    mappings = {int(memray.AllocatorType.MMAP), int(memray.AllocatorType.MUNMAP)}
    return mappings if segment == "other_anonymous" else every - mappings


def _snapshots_after(memray: Any, record: str, milliseconds: list[int]) -> list[int]:
    """Return the numbers of the first snapshots that are so much later than the first of all."""
    times = [each.time for each in memray.FileReader(record).get_memory_snapshots()]
    since = [time - times[0] for time in times]
    return [
        next((at for at, passed in enumerate(since) if passed >= wanted), len(times))
        for wanted in milliseconds
    ]


def _live(intervals: list[Any], snapshot: int | None) -> tuple[int, int, int]:
    """Return bytes, blocks, and bytes of the largest block, alive at a snapshot or at the end."""
    live = [
        each
        for each in intervals
        if (
            each.deallocated_before_snapshot is None
            if snapshot is None
            else each.allocated_before_snapshot <= snapshot
            and (
                each.deallocated_before_snapshot is None
                or each.deallocated_before_snapshot > snapshot
            )
        )
    ]
    return (
        sum(each.n_bytes for each in live),
        sum(each.n_allocations for each in live),
        max((each.n_bytes // max(each.n_allocations, 1) for each in live), default=0),
    )


def _is_arena(record: Any) -> bool:
    return any(name in ARENAS for name, _, _ in record.hybrid_stack_trace(max_stacks=4))


def _c_function(record: Any) -> str | None:
    """Return who has asked for the memory if that is C code, and None if it is Python itself."""
    lines = {(file, line) for _, file, line in record.stack_trace(max_stacks=1)}
    for name, file, line in record.hybrid_stack_trace(max_stacks=MOST_C_FRAMES):
        if (file, line) in lines:
            return None
        if name.startswith(BETWEEN):
            continue
        if name.startswith(PYTHON) or file.removeprefix("./").startswith(SOURCES_OF_PYTHON):
            return None
        if name == "<unknown>":
            return "a C function without symbols"
        where = "" if file == "<unknown>" else f" ({PurePath(file).name}:{line})"
        return f"{name}{where}"
    return None


if __name__ == "__main__":
    main()
