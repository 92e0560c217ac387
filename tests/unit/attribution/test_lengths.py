from __future__ import annotations

import gc

from hypothesis import given
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._attribution.lengths import Lengths

numbers = st.integers(0, 2**64 - 1)
dictionaries = st.dictionaries(numbers, st.tuples(numbers, numbers), max_size=50)


def lengths_of(expected: dict[int, tuple[int, int]]) -> Lengths:
    lengths = Lengths()
    for identity, (entries, kind) in expected.items():
        lengths.add(identity, entries, kind)
    return lengths


@given(dictionaries, numbers)
def test_remembered_lengths_are_those_that_were_added(
    expected: dict[int, tuple[int, int]], other: int
) -> None:
    lengths = lengths_of(expected)
    assert {identity: rest for identity, *rest in lengths} == {
        identity: list(rest) for identity, rest in expected.items()
    }
    remembered = lengths.remember()
    assert not len(lengths)
    assert dict(remembered) == expected
    assert (other in remembered) is (other in expected)
    assert remembered.get(other) == expected.get(other)


@given(dictionaries, st.integers(1, 60))
def test_longest_are_kept(expected: dict[int, tuple[int, int]], most: int) -> None:
    lengths = lengths_of(expected)
    lengths.keep_longest(most)
    kept = [entries for _, entries, _ in lengths]
    assert (
        sorted(kept, reverse=True)
        == sorted((entries for entries, _ in expected.values()), reverse=True)[:most]
    )
    assert all(expected[identity] == (entries, kind) for identity, entries, kind in lengths)
    assert lengths.shortest == min(kept, default=0)


def test_containers_of_one_class_are_added_together() -> None:
    lengths = Lengths()
    lengths.add(1, 10, 7)
    lengths.extend(iter([2, 3]), iter([20, 30]), 8)
    assert list(lengths) == [(1, 10, 7), (2, 20, 8), (3, 30, 8)]


def test_garbage_collector_does_not_count_them() -> None:
    lengths = Lengths()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        before = gc.get_count()[0]
        lengths.extend(range(5_000), range(5_000), 8)
        for number in range(5_000):
            lengths.add(number, number, 9)
        assert gc.get_count()[0] - before < 100
    finally:
        if was_enabled:
            gc.enable()
