from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._probes.arenas import (
    Arena,
    ArenaProbe,
    Chunks,
    parse_malloc_info,
    whole_page_bytes,
)
from opentelemetry.instrumentation.memory._probes.threads import thread_count
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

RECORDING = Path(__file__).parents[2] / "data/malloc_info/glibc-2.36-threads.xml"
PAGE_BYTES = 4096

TWO_ARENAS = b"""<malloc version="1">
<heap nr="0">
<sizes>
  <size from="97" to="97" total="970" count="10"/>
  <unsorted from="1057" to="15569" total="20000" count="4"/>
</sizes>
<total type="fast" count="1" size="48"/>
<total type="rest" count="15" size="60922"/>
<system type="current" size="135168"/>
<system type="max" size="135168"/>
</heap>
<heap nr="1">
<sizes>
</sizes>
<total type="fast" count="0" size="0"/>
<total type="rest" count="1" size="1000"/>
<system type="current" size="139264"/>
</heap>
<total type="fast" count="1" size="48"/>
<total type="rest" count="16" size="61922"/>
<system type="current" size="274432"/>
</malloc>
"""


def test_top_is_what_is_free_and_in_no_size_class() -> None:
    main, other = parse_malloc_info(TWO_ARENAS)
    assert main == Arena(
        is_main=True,
        system_bytes=135168,
        free_bytes=60970,
        top_bytes=40000,
        chunks=(Chunks(97, 97, 970, 10), Chunks(1057, 15569, 20000, 4)),
    )
    assert other == Arena(is_main=False, system_bytes=139264, free_bytes=1000, top_bytes=1000)


def test_recording_adds_up_to_its_own_total() -> None:
    arenas = parse_malloc_info(RECORDING.read_bytes())
    total = RECORDING.read_bytes().rpartition(b"</heap>")[2]
    free = sum(int(part.split(b'"')[0]) for part in total.split(b'size="')[1:3])
    assert sum(arena.free_bytes for arena in arenas) == free
    assert [arena.is_main for arena in arenas] == [True] + [False] * (len(arenas) - 1)
    assert len(arenas) > 2


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<malloc></malloc>",
        b'<heap nr="0"></heap>',
        TWO_ARENAS.replace(b'size="60922"', b'size="9"'),
        TWO_ARENAS.replace(b'type="fast" count="1"', b'type="slow" count="1"'),
        TWO_ARENAS.replace(b'total="970"', b'total="0"'),
    ],
)  # fmt: skip
def test_text_that_contradicts_itself_makes_no_sense(text: bytes) -> None:
    with pytest.raises(ValueError, match="malloc_info"):
        parse_malloc_info(text)


@given(st.integers(0, len(TWO_ARENAS)), st.binary(max_size=20), st.integers(0, 40))
def test_damaged_text_is_refused_or_stays_within_what_is_free(
    place: int, noise: bytes, gone: int
) -> None:
    text = TWO_ARENAS[:place] + noise + TWO_ARENAS[place + gone :]
    try:
        arenas = parse_malloc_info(text)
    except ValueError:
        return
    assert all(0 <= arena.trimmable_bytes <= arena.free_bytes for arena in arenas)


def test_end_of_the_main_arena_is_given_back_in_whole_pages() -> None:
    arena = Arena(is_main=True, system_bytes=2**20, free_bytes=10_000, top_bytes=10_000)
    assert arena.trimmable_bytes == 2 * PAGE_BYTES


def test_end_of_another_arena_is_not_given_back() -> None:
    arena = Arena(is_main=False, system_bytes=2**20, free_bytes=10_000, top_bytes=10_000)
    assert arena.trimmable_bytes == 0


def test_chunks_below_a_page_have_no_whole_one() -> None:
    assert whole_page_bytes(Chunks(1057, 4000, 400_000, 200)) < 400_000 * 0.05
    assert whole_page_bytes(Chunks(2000, 2000, 400_000, 200)) == 0


def test_large_chunk_loses_a_page_at_its_ends_on_average() -> None:
    size = 100 * PAGE_BYTES
    assert whole_page_bytes(Chunks(size, size, size, 1)) == pytest.approx(99 * PAGE_BYTES, abs=100)


def truly_whole(sizes: list[int], first_offset: int) -> int:
    """Return what malloc_trim gives back of chunks that stand one behind the other."""
    given, place = 0, first_offset * 16
    for size in sizes:
        begin = -(-(place + 48) // PAGE_BYTES) * PAGE_BYTES
        given += max((place + size - begin) // PAGE_BYTES, 0) * PAGE_BYTES
        place += size + 1040  # a block that is in use stands between
    return given


@given(
    st.lists(st.integers(320, 2000), min_size=400, max_size=400),
    st.integers(0, 255),
)
def test_many_chunks_of_a_size_class_are_estimated_within_a_tenth(
    sixteenths: list[int], offset: int
) -> None:
    sizes = [each * 16 for each in sixteenths]
    chunks = Chunks(min(sizes), max(sizes), sum(sizes), len(sizes))
    assert whole_page_bytes(chunks) == pytest.approx(truly_whole(sizes, offset), rel=0.1)


@given(st.integers(32, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_estimate_never_exceeds_what_is_free(
    smallest: int, more: int, most: int, count: int
) -> None:
    mean = smallest + more
    chunks = Chunks(smallest, mean + most, mean * count, count)
    assert 0 <= whole_page_bytes(chunks) <= mean * count


def test_library_without_malloc_info_is_an_absent_source() -> None:
    with pytest.raises(SourceUnavailable, match="malloc_info"):
        ArenaProbe(SimpleNamespace()).read()


def test_threads_are_counted_by_the_kernel(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nThreads:\t12\nSigQ:\t0/1\n")
    assert thread_count(str(status)) == 12


@pytest.mark.parametrize("text", ["Name:\tpython\n", "Threads:\tmany\n"])
def test_kernel_that_does_not_count_threads_leaves_them_unknown(tmp_path: Path, text: str) -> None:
    status = tmp_path / "status"
    status.write_text(text)
    assert thread_count(str(status)) is None


def test_threads_are_unknown_without_proc(tmp_path: Path) -> None:
    assert thread_count(str(tmp_path / "status")) is None
