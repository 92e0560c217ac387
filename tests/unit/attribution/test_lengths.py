from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._attribution.lengths import RememberedLengths

numbers = st.integers(0, 2**64 - 1)


@given(st.dictionaries(numbers, st.tuples(numbers, numbers), max_size=50), numbers)
def test_remembered_lengths_are_those_of_the_dictionary(
    lengths: dict[int, tuple[int, int]], other: int
) -> None:
    remembered = RememberedLengths(lengths)
    assert dict(remembered) == lengths
    assert (other in remembered) is (other in lengths)
    assert remembered.get(other) == lengths.get(other)
