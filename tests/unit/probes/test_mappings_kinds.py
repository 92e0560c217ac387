from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._probes.mapping_kinds import Kinds, named_kind
from opentelemetry.instrumentation.memory._probes.mappings import Mapping, MappingParser

RECORDING = Path(__file__).parents[2] / "data/mappings/threads.smaps"
MIB = 2**20
PAGE_BYTES = 4096
ARENA = 0x7F1CE8000000


def anonymous(start: int, size: int, permissions: str = "rw-p") -> Mapping:
    return Mapping(start, start + size, permissions, "", 0)


def kinds_of(*mappings: Mapping) -> list[str]:
    kinds = Kinds()
    told = [kinds.next(mapping) for mapping in (*mappings, None)]
    return [each[0] for each in told if each is not None]


def test_process_with_three_threads_has_three_stacks_and_three_arenas() -> None:
    parser = MappingParser()
    parser.feed(RECORDING.read_bytes())
    counts = Counter(kinds_of(*parser.take(is_end=True)))
    assert counts["thread stack"] == counts["malloc arena"] == 3
    assert counts["malloc heap"] == counts["main stack"] == counts["shared memory"] == 1


def test_arena_begins_at_a_multiple_of_64_mib_and_its_rest_is_reserved() -> None:
    heap, rest = anonymous(ARENA, MIB), anonymous(ARENA + MIB, 63 * MIB, "---p")
    assert kinds_of(heap, rest) == ["malloc arena"]


def test_arena_that_is_full_is_one() -> None:
    assert kinds_of(anonymous(ARENA, 64 * MIB)) == ["malloc arena"]


def test_full_arena_joined_with_the_next_is_one() -> None:
    joined = anonymous(ARENA, 65 * MIB)
    assert kinds_of(joined, anonymous(ARENA + 65 * MIB, 63 * MIB, "---p")) == ["malloc arena"]


@pytest.mark.parametrize(
    ("start", "rest"), [(ARENA + MIB, 62 * MIB), (ARENA, 10 * MIB)], ids=["begins", "ends"]
)
def test_mapping_at_another_address_is_no_arena(start: int, rest: int) -> None:
    assert kinds_of(anonymous(start, MIB), anonymous(start + MIB, rest, "---p")) == ["anonymous"]


def test_stack_stands_right_behind_a_guard_page() -> None:
    guard = anonymous(ARENA - 9 * MIB, PAGE_BYTES, "---p")
    assert kinds_of(guard, anonymous(guard.end, 8 * MIB)) == ["thread stack"]


def test_mapping_behind_a_large_reserved_range_is_no_stack() -> None:
    reserved = anonymous(ARENA - 9 * MIB, MIB, "---p")
    assert kinds_of(reserved, anonymous(reserved.end, 8 * MIB)) == ["anonymous"]


def test_mapping_some_way_behind_a_guard_is_no_stack() -> None:
    guard = anonymous(ARENA - 9 * MIB, PAGE_BYTES, "---p")
    assert kinds_of(guard, anonymous(guard.end + PAGE_BYTES, 8 * MIB)) == ["anonymous"]


def test_reserved_ranges_and_the_kernels_pages_are_not_told() -> None:
    assert kinds_of(anonymous(ARENA, MIB, "---p"), Mapping(0, 4096, "r-xp", "[vdso]")) == []


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("[heap]", "malloc heap"),
        ("[stack]", "main stack"),
        ("[anon:glibc: malloc arena]", "malloc arena"),
        ("[anon:glibc: pthread stack: 4711]", "thread stack"),
        ("[anon:glibc: malloc]", "anonymous"),
        ("[anon:partition_alloc]", "anonymous (partition_alloc)"),
        ("[anon:customer 4711]", "anonymous (named)"),
        ("[anon_shmem:ring]", "shared memory"),
        ("/dev/shm/psm_21467_46075", "shared memory"),  # noqa: S108 - a name
        ("/memfd:alice (deleted)", "shared memory"),
        ("/SYSV00000000 (deleted)", "shared memory"),
        ("/dev/zero (deleted)", "shared memory"),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "libc.so.6"),
        ("/home/alice/lib/_ssl.cpython-311.so", "_ssl.cpython-311.so"),
        ("/x/numpy.libs/libgfortran-040039e1-0352e75f.so.5.0.0", "libgfortran.so.5.0.0"),
        ("/usr/bin/python3.11", "python3.11"),
        ("/app/libshop.so (deleted)", "libshop.so (deleted)"),
        ("/srv/customers/alice.parquet", "file (.parquet)"),
        ("/srv/customers/alice@example.com", "file"),
        ("/srv/customers/0123456789abcdef.so", "file"),
        ("/srv/upload-4711 (deleted)", "deleted file"),
        ("/anon_hugepage (deleted)", "huge pages"),
        ("anon_inode:[io_uring]", "device"),
    ],
)  # fmt: skip
def test_name_is_told_where_it_is_code_and_cut_where_it_may_be_data(path: str, kind: str) -> None:
    assert named_kind(path) == kind


@given(st.text(max_size=60))
def test_folders_are_never_told(name: str) -> None:
    assert "alice" not in named_kind(f"/home/alice/{name.replace('alice', '')}")


@given(st.from_regex(r"/data/[a-z0-9]{1,30}\.[a-z]{1,8}", fullmatch=True))
def test_names_of_data_files_are_bounded(path: str) -> None:
    kind = named_kind(path)
    assert kind.startswith(("file", "python", "pypy")) or path.endswith(".so")
