"""Rows of CSV, well formed and not."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._commands.analyze.csv_rows import COLUMNS, read_csv
from opentelemetry.instrumentation.memory._commands.analyze.problems import InputError, Problems
from opentelemetry.instrumentation.memory.model import MemorySample, Partition


def read(*lines: str) -> tuple[list[MemorySample], list[str]]:
    """Return the samples of a file, and the lines that tell what was wrong with it."""
    problems = Problems()
    samples = [sample for _, sample in read_csv((f"{line}\n" for line in lines), problems)]
    return samples, problems.lines("f.csv")


def test_all_columns_become_a_partition_that_adds_up() -> None:
    (sample,), said = read(",".join(COLUMNS), "2.5,100,40,50,20,1000")
    assert said == []
    assert sample == MemorySample(
        taken_at_seconds=2.5,
        pid=0,
        resident_bytes=100,
        partition=Partition(40, 20, 10, 30),
        heap_used_bytes=40,
        heap_committed_bytes=50,
        limit_bytes=1000,
    )


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("100,,,", Partition(None, None, None, 100)),
        ("100,40,,", Partition(40, None, None, 60)),
        ("100,,50,", Partition(None, None, None, 100)),
        ("100,40,50,", Partition(40, None, 10, 50)),
        ("100,,,20", Partition(None, 20, None, 80)),
        ("100,40,90,50", Partition(40, 50, 10, 0)),
        ("100,120,150,50", Partition(100, 0, 0, 0)),
    ],
)
def test_bytes_of_absent_sources_are_other_anonymous(cells: str, expected: Partition) -> None:
    (sample,), said = read("time_s,rss,heap_used,heap_committed,native_used", f"0,{cells}")
    assert (sample.partition, said) == (expected, [])


def test_columns_come_in_any_order_and_others_are_passed_over() -> None:
    (sample,), said = read("host,rss,time_s", '"a, b",7,1', "")
    assert (sample.taken_at_seconds, sample.resident_bytes, said) == (1.0, 7, [])


def test_a_byte_count_may_be_written_as_a_float() -> None:
    (sample,), _ = read("time_s,rss", "0, 1.5e3 ")
    assert sample.resident_bytes == 1500


def test_a_moment_without_resident_set_is_left_out_and_is_no_mistake() -> None:
    samples, said = read("time_s,rss", "0,1", "1,", "2,3")
    assert [sample.taken_at_seconds for sample in samples] == [0, 2]
    assert said == ["f.csv: note: left out moments without a resident set size: 1"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("2,x,", "column rss: found 'x', expected a number of bytes, 0 or more, or nothing"),
        ("2,-1,", "column rss: found '-1', expected a number of bytes, 0 or more, or nothing"),
        ("2,1_0,", "column rss: found '1_0', expected a number of bytes, 0 or more, or nothing"),
        ("2,1,inf", "column limit: found 'inf', expected a number of bytes, 0 or more, or nothing"),
        ("2,1,1e30", "column limit: found '1e30', expected a number of bytes, 0 or more, or "),
        (",1,", "column time_s: found '', expected seconds"),
        ("nan,1,", "column time_s: found 'nan', expected seconds"),
        ("1,1,", "column time_s: found '1', expected more than 1, the time before"),
        ("0.5,1,", "column time_s: found '0.5', expected more than 1, the time before"),
        ("2,1", "found 2 cells, expected 3, as in the header"),
        ("2,1,1,1", "found 4 cells, expected 3, as in the header"),
        ("2,\x1b[31m,", r"column rss: found '\x1b[31m', expected a number"),
        ("2," + "9" * 5000 + ",", "column rss: found '9999"),
    ],
)
def test_a_malformed_row_is_named_and_the_others_are_read(row: str, expected: str) -> None:
    samples, said = read("time_s,rss,limit", "1,1,", row, "3,1,")
    assert [sample.taken_at_seconds for sample in samples] == [1, 3]
    assert len(said) == 1
    assert said[0].startswith(f"f.csv:3: {expected}")


def test_many_malformed_rows_are_counted() -> None:
    _, said = read("time_s,rss", *(f"{number},x" for number in range(1000)))
    assert len(said) == 6
    assert said[-1] == "f.csv: and 995 more of this kind"


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("a,b,c", "time_s"),
        ("0,67170304", "time_s"),
        ("time_s;rss", "time_s"),
        ("time_s,heap_used", "rss"),
    ],
)
def test_a_header_without_the_required_columns_is_refused(header: str, column: str) -> None:
    with pytest.raises(InputError) as refused:
        read(header, "0,1")
    said = refused.value.problem.text("f.csv")
    assert said.startswith(f"f.csv:1: column {column}: found '{header}', expected a header with")


def test_a_column_that_comes_twice_is_refused() -> None:
    with pytest.raises(InputError, match="column limit: found it more than once"):
        read("time_s,rss,limit,limit", "0,1,2,3")


CELLS = st.one_of(
    st.text(max_size=12),
    st.integers(-10, 10**12).map(str),
    st.floats().map(str),
    st.sampled_from(["", " ", '"', "nan", "1e400", "\0", "٣", "0x1", "1_0"]),
)
ROWS = st.lists(CELLS, max_size=7).map(",".join)


@given(st.lists(ROWS, max_size=20), st.permutations(COLUMNS))
def test_whatever_the_rows_are_samples_ascend_and_add_up(
    rows: list[str], columns: list[str]
) -> None:
    samples, _ = read(",".join(columns), *rows)
    last = -math.inf
    for sample in samples:
        assert last < sample.taken_at_seconds < math.inf
        last = sample.taken_at_seconds
        parts = [value for _, value in sample.partition.present()]
        assert min(parts) >= 0
        assert sum(parts) == sample.resident_bytes


@given(st.lists(ROWS, max_size=20))
def test_whatever_a_file_is_only_the_documented_error_is_raised(rows: list[str]) -> None:
    with contextlib.suppress(InputError):
        read(*rows)
