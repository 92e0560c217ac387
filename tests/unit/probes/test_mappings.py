from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._probes.mappings import (
    Mapping,
    MappingParser,
    present_pages,
    read_mappings,
    read_residency,
)
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

RECORDING = Path(__file__).parents[2] / "data/mappings/threads.smaps"
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def all_of(parts: Iterable[list[Mapping]]) -> list[Mapping]:
    return [mapping for part in parts for mapping in part]


def open_files() -> list[Path]:
    return [each.resolve() for each in Path("/proc/self/fd").iterdir()]


def parsed(*pieces: bytes) -> list[Mapping]:
    parser = MappingParser()
    for piece in pieces:
        parser.feed(piece)
    return parser.take(is_end=True)


def test_each_mapping_has_its_place_its_rights_its_name_and_its_pages() -> None:
    text = (
        b"7f1cf93c2000-7f1cf941c000 r-xp 00084000 fe:00 326591        /usr/lib/lib m.so.6\n"
        b"Size:                360 kB\nRss:                 120 kB\nPss:                  12 kB\n"
        b"7f1cec021000-7f1cf0000000 ---p 00000000 00:00 0 \nRss:                   0 kB\n"
    )
    assert parsed(text) == [
        Mapping(0x7F1CF93C2000, 0x7F1CF941C000, "r-xp", "/usr/lib/lib m.so.6", 120 * 1024),
        Mapping(0x7F1CEC021000, 0x7F1CF0000000, "---p", "", 0),
    ]


def test_recording_is_read_in_full() -> None:
    text = RECORDING.read_bytes()
    assert len(parsed(text)) == text.count(b"\nVmFlags:")
    assert all(mapping.resident_bytes is not None for mapping in parsed(text))


def test_mapping_is_not_taken_before_its_pages_are_known() -> None:
    head, middle, tail = RECORDING.read_bytes().partition(b"Rss:")
    parser = MappingParser()
    parser.feed(head)
    taken = parser.take()
    parser.feed(middle + tail)
    taken += parser.take() + parser.take(is_end=True)
    assert taken == parsed(RECORDING.read_bytes())


def test_maps_does_not_tell_what_is_resident() -> None:
    text = b"560a77047000-560a77049000 r--p 00000000 fe:00 247278       /usr/bin/head\n"
    assert parsed(text)[0].resident_bytes is None


@given(st.lists(st.integers(0, len(RECORDING.read_bytes())), max_size=20))
def test_pieces_may_end_anywhere(ends: list[int]) -> None:
    text = RECORDING.read_bytes()
    places = [0, *sorted(ends), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    assert parsed(*pieces) == parsed(text)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_text_of_another_kind_has_no_mapping_that_makes_no_sense(pieces: list[bytes]) -> None:
    for mapping in parsed(*pieces, b"\n"):
        assert len(mapping.permissions) == 4


@given(st.text(alphabet="0123456789abcdef-rwxps: \nRskB", max_size=300))
def test_nearly_right_text_raises_nothing(text: str) -> None:
    parsed(text.encode(), b"\n")


def test_pages_without_a_mapping_before_them_are_left_out() -> None:
    assert parsed(b"Rss:                 120 kB\n") == []


def test_file_without_a_mapping_makes_no_sense(tmp_path: Path) -> None:
    file = tmp_path / "smaps"
    file.write_bytes(b"nothing\n")
    with pytest.raises(ValueError, match="no mapping"):
        all_of(read_mappings(str(file)))


def test_kernel_without_smaps_is_an_absent_source(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="smaps"):
        all_of(read_mappings(str(tmp_path / "smaps")))


def test_long_text_is_read_in_several_steps(tmp_path: Path) -> None:
    file = tmp_path / "smaps"
    file.write_bytes(RECORDING.read_bytes() * 8)
    parts = list(read_mappings(str(file)))
    assert len(parts) > 1
    assert all_of(parts) == parsed(file.read_bytes())


def test_large_mapping_is_looked_through_in_several_steps(tmp_path: Path) -> None:
    mapping = Mapping(0, 20_000 * PAGE_BYTES, "rw-p", "")
    parts = list(read_residency([[mapping]], 2**40, pagemap(tmp_path, [1] * 20_000)))
    assert len(parts) > 2
    assert mapping.resident_bytes == 20_000 * PAGE_BYTES


def test_file_is_closed_when_nobody_reads_on(tmp_path: Path) -> None:
    file = tmp_path / "smaps"
    file.write_bytes(RECORDING.read_bytes() * 8)
    steps = read_mappings(str(file))
    next(steps)
    assert file in open_files()
    steps.close()
    assert file not in open_files()


@given(st.lists(st.booleans(), max_size=100))
def test_top_bit_of_an_entry_says_whether_its_page_is_there(pages: list[bool]) -> None:
    other_bits = 0x61_80_00_00_00_00_12_34
    entries = b"".join((other_bits | (is_there << 63)).to_bytes(8, "little") for is_there in pages)
    assert present_pages(entries) == sum(pages)


def pagemap(folder: Path, pages: list[int]) -> str:
    file = folder / "pagemap"
    file.write_bytes(b"".join((page << 63).to_bytes(8, "little") for page in pages))
    return str(file)


def test_resident_pages_are_counted_within_the_mapping_only(tmp_path: Path) -> None:
    mapping = Mapping(PAGE_BYTES, 4 * PAGE_BYTES, "rw-p", "")
    all_of(read_residency([[mapping]], 2**30, pagemap(tmp_path, [1, 1, 0, 1, 1])))
    assert mapping.resident_bytes == 2 * PAGE_BYTES


@pytest.mark.parametrize(
    ("permissions", "largest_bytes"), [("---p", 2**30), ("rw-p", 2 * PAGE_BYTES)]
)
def test_reserved_and_huge_mappings_are_not_walked(
    tmp_path: Path, permissions: str, largest_bytes: int
) -> None:
    mapping = Mapping(0, 4 * PAGE_BYTES, permissions, "")
    all_of(read_residency([[mapping]], largest_bytes, pagemap(tmp_path, [1, 1, 1, 1])))
    assert mapping.resident_bytes is None


def test_addresses_beyond_the_pagemap_are_not_resident(tmp_path: Path) -> None:
    mapping = Mapping(0xFFFFFFFFFF600000, 0xFFFFFFFFFF601000, "--xp", "[vsyscall]")
    all_of(read_residency([[mapping]], 2**30, pagemap(tmp_path, [1])))
    assert mapping.resident_bytes == 0
