"""The catalogue keeps what its README promises."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import pytest
from families import healthy_test, healthy_tuning, leaks_test, leaks_tuning, recipe
from series import CATALOGUE, COLUMNS, Label, Row, labels, load, partition, read_rows, samples

SEGMENTS_OF_LEAKS = {"python", "native", "mapped", "unknown"}


def test_every_series_of_the_manifest_is_a_file_and_every_file_is_in_the_manifest() -> None:
    listed = [label.file for label in labels()]
    assert len(set(listed)) == len(listed)
    assert set(listed) == {path.name for path in CATALOGUE.glob("*.csv.gz")}


def test_names_are_unique() -> None:
    names = [label.name for label in labels()]
    assert len(set(names)) == len(names)


def test_there_are_at_least_eighty_series_and_as_many_quiet_as_leaking_in_each_half() -> None:
    assert len(labels()) >= 80
    for half in ("tuning", "test"):
        leaks = [label.is_leak for label in labels() if label.half == half]
        assert len(leaks) >= 30
        assert leaks.count(False) >= leaks.count(True)


def test_no_program_is_in_both_halves() -> None:
    halves = defaultdict(set)
    for label in labels():
        halves[label.program].add(label.half)
    assert [program for program, found in halves.items() if len(found) > 1] == []


def test_both_halves_hold_the_same_kinds_of_difficulty() -> None:
    shapes = defaultdict(set)
    for label in labels():
        shapes[label.is_leak, label.shape].add(label.half)
    one_sided = {shape for shape, found in shapes.items() if len(found) == 1}
    assert one_sided == set()


@pytest.mark.parametrize("label", labels(), ids=lambda label: label.name)
def test_series_matches_its_label(label: Label) -> None:
    rows = load(label).rows
    assert len(rows) >= 200
    assert all(earlier.time < later.time for earlier, later in itertools.pairwise(rows))
    assert all(math.isfinite(row.time) and row.rss > 0 for row in rows)
    end = rows[-1].time
    if label.is_leak:
        assert label.segment in SEGMENTS_OF_LEAKS
        assert 0 <= label.leak_start_seconds < 0.75 * end
        if label.leak_stop_seconds is not None:
            assert label.leak_start_seconds < label.leak_stop_seconds < end
    else:
        assert label.segment == "none"
        assert label.leak_start_seconds is None
        assert label.leak_stop_seconds is None


@pytest.mark.parametrize("label", labels(), ids=lambda label: label.name)
def test_samples_are_partitioned_without_remainder(label: Label) -> None:
    for sample in samples(load(label)):
        present = sample.partition.present()
        assert sum(value for _, value in present) == sample.resident_bytes
        assert all(value >= 0 for _, value in present)


def test_untouched_bytes_come_off_the_retained_part_first() -> None:
    parts = partition(Row(0.0, rss=100, heap_used=40, heap_committed=90, native_used=30))
    assert parts.python_heap_bytes == 40
    assert parts.retained_bytes == 30
    assert parts.native_heap_bytes == 30
    assert parts.other_anonymous_bytes == 0


def test_resident_bytes_without_a_split_are_all_other() -> None:
    parts = partition(Row(0.0, rss=100))
    assert parts.present() == (("other_anonymous", 100),)


def test_parametric_series_can_be_made_again() -> None:
    for family in (healthy_tuning, healthy_test, leaks_tuning, leaks_test):
        item = next(family.recipes())
        made = [line.split(",") for line in recipe.rows(item)]
        kept = read_rows(CATALOGUE / f"{item.name}.csv.gz")
        assert len(made) == len(kept)
        assert len(made[0]) == len(COLUMNS)
        # A later numpy may round differently in the last place: one page is allowed.
        assert all(
            abs(int(cells[1]) - row.rss) <= recipe.PAGE_BYTES
            for cells, row in zip(made, kept, strict=True)
        )


def test_whole_catalogue_stays_light_enough_to_be_judged_in_minutes() -> None:
    assert sum(len(load(label).rows) for label in labels()) < 300_000
