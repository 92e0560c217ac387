"""How much each of several things adds to a level, from what happened in many intervals.

Growth of memory is regressed on counts. What makes that harder than a textbook's regression, and
what is done about it:

- Part of the noise stays (a cache takes in what is asked for), part of it passes (memory in
  flight). The first leaves the growth of the next interval alone, the second turns it round. How
  much of each there is shows in the errors, and both sides are filtered accordingly
  (`_passing_part`): an exponentially weighted moving average, as in an ARIMA(0,1,1) model.
- What a request keeps for seconds looks like what it keeps for good while counts go up and down.
  So whatever stands out is looked at again beside columns of memory that fades (`LIFETIMES`): if
  they explain most of it, it is not told. They never change what is told: over an interval or two
  nothing sets them apart from what is kept. What a request holds until it ends has a column from
  the start.
- A table that is loaded once is no fault of the requests that finished beside it. Such single
  steps are cut (`_without_steps`). A fall is not, unless it gives back what was cut before: it is
  the collector's, and what grew before it must pay for it.
- Errors hang together over time. Their long-run variance is taken from the lowest frequencies
  alone, by cosine transforms, and the intervals are Student's with as many degrees of freedom
  (Lazarus, Lewis, Stock, Watson: HAR Inference, 2018).

Numbers in, numbers out; nothing in here knows of routes or of memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._attribution.least_squares import Model, filtered
from opentelemetry.instrumentation.memory._attribution.linear import non_negative_solution
from opentelemetry.instrumentation.memory._attribution.student import student_quantile

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    Column = Sequence[float]

CONFIDENCE: Final = 0.95
LIFETIMES: Final = (0.01, 0.04)  # of memory that fades, as parts of what was watched
# One sided, shared by all columns. Stricter than the interval that is told: there are many columns,
# and they are looked at again and again.
_CHANCE_OF_FALSE_ALARM: Final = 0.005
_LEAST_INTERVALS_PER_COLUMN: Final = 4
_MOST_SECOND_LOOKS: Final = 4
# What the second look must leave of the first estimate, or it is not told.
_LEAST_PART_LEFT: Final = 0.25
_SHORTEST_LIFETIME: Final = 3.0  # in intervals

_PASSING_PARTS: Final = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
_FIRST_PASSING_PART: Final = 0.5
_STEP_SIGMAS: Final = 6.0
_STEPS_SHARE: Final = 0.02
_ROUNDS: Final = 3
_SIGMAS_PER_DEVIATION: Final = 1.4826  # of the median absolute deviation, for a normal law


@dataclass(frozen=True, slots=True)
class Watch:
    """What happened in consecutive intervals; all columns are of the same length.

    Attributes:
        seconds: The length of each interval.
        growth: The growth of the level in it.
        counts: One column for each thing that may cause growth.
    """

    seconds: Column
    growth: Column
    counts: Sequence[Column]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one count adds.

    Attributes:
        value: Estimate; never negative.
        least: Lower end of its 95 % confidence interval; never negative.
        most: Upper end; infinite when nothing can be said.
        is_certain: Whether zero is excluded with so much certainty that it may be told of one of
            many columns, looked at many times.
    """

    value: float
    least: float
    most: float
    is_certain: bool


_UNKNOWN: Final = Estimate(0.0, 0.0, math.inf, is_certain=False)


def fit(watch: Watch) -> Generator[None, None, tuple[Estimate, ...]]:
    """Return an estimate for each column, in steps of a few milliseconds.

    Growth at a steady pace that no count explains is allowed for, and may be negative.
    """
    wanted = len(watch.counts)
    unit = _size(watch.growth)
    if not wanted or len(watch.growth) < _LEAST_INTERVALS_PER_COLUMN * (wanted + 3):
        return (_UNKNOWN,) * wanted
    # Everything is scaled to be about one, so that no number is lost beside another.
    sizes = [_size(column) for column in watch.counts]
    pace = _size(watch.seconds)
    growth = [value / unit for value in watch.growth]
    columns = [
        [value / size for value in column]
        for column, size in zip([*watch.counts, watch.seconds], [*sizes, pace], strict=True)
    ]
    columns.append(_in_flight(columns[:wanted]))
    model = Model(columns, _FIRST_PASSING_PART)
    yield from model.prepare()
    model.solve(growth)
    yield
    model = Model(columns, _passing_part(model.errors(growth)))
    yield from model.prepare()
    cut = growth
    for _ in range(_ROUNDS):
        model.solve(cut)
        cut = _without_steps(growth, model.errors(growth))
    model.solve(cut)
    yield
    deviations, freedom = yield from model.deviations(cut)
    nearest = non_negative_solution(model.moments, model.projections, model.solution, wanted)
    yield
    strict = student_quantile(1 - _CHANCE_OF_FALSE_ALARM / max(wanted, 1), freedom)
    margin = student_quantile((1 + CONFIDENCE) / 2, freedom)
    weights = list(model.solution)
    notable = sorted(
        (
            index
            for index in range(wanted)
            if weights[index] > strict * deviations[index] > 0 and not model.is_mixture(index)
        ),
        key=lambda index: deviations[index] / weights[index],
    )[:_MOST_SECOND_LOOKS]
    if notable:
        fading = [
            _fading(columns[index], watch.seconds, lifetime)
            for lifetime in _lifetimes(watch.seconds)
            for index in notable
        ]
        wider = model.beside(fading)
        yield from wider.prepare()
        wider.solve(cut)
        doubtful = {
            index for index in notable if wider.solution[index] < _LEAST_PART_LEFT * weights[index]
        }
        notable = [index for index in notable if index not in doubtful]
    return tuple(
        _UNKNOWN
        if model.is_mixture(index)
        else _estimate(
            nearest[index],
            weights[index],
            margin * deviations[index],
            unit / sizes[index],
            is_certain=index in notable,
        )
        for index in range(wanted)
    )


def _estimate(
    nearest: float, weight: float, margin: float, unit: float, *, is_certain: bool
) -> Estimate:
    least, most = max(weight - margin, 0.0), max(weight + margin, 0.0)
    value = min(max(nearest, least), most)
    return Estimate(value * unit, least * unit, most * unit, is_certain and least > 0)


def _size(column: Column) -> float:
    largest = max(map(abs, column), default=0.0)
    if largest == 0:
        return 1.0
    return largest * math.sqrt(math.fsum((each / largest) ** 2 for each in column) / len(column))


def _passing_part(errors: Column) -> float:
    """Return how the errors are filtered best: so that least of them is left."""
    return min(
        _PASSING_PARTS,
        key=lambda part: math.fsum(each * each for each in filtered(errors, part)),
    )


def _in_flight(counts: Sequence[Column]) -> list[float]:
    """Return the growth of what is in flight: what ends in the next interval has begun by now."""
    totals = [math.fsum(row) for row in zip(*counts, strict=True)]
    return [after - before for before, after in zip(totals, [*totals[1:], totals[-1]], strict=True)]


def _lifetimes(seconds: Column) -> list[float]:
    """Return how long memory may be held to be looked for; shorter ones look like memory kept.

    Within an interval or two nothing sets what fades apart from the noise.
    """
    watched = math.fsum(seconds)
    shortest = _SHORTEST_LIFETIME * watched / len(seconds)
    return [max(part * watched, shortest * 4**place) for place, part in enumerate(LIFETIMES)]


def _fading(counts: Column, seconds: Column, lifetime: float) -> list[float]:
    """Return the growth of a level that each count raises by one and that fades away."""
    level, growth = 0.0, []
    for count, length in zip(counts, seconds, strict=True):
        # What came within the interval has faded for half of it, on average.
        after = level * math.exp(-length / lifetime) + count * math.exp(-length / 2 / lifetime)
        growth.append(after - level)
        level = after
    return growth


def _without_steps(growth: Column, errors: Column) -> list[float]:
    """Return the growth with its single steps cut to what is usual.

    What was cut upwards may be cut downwards again later: memory that was taken once and is given
    back. At most one interval in fifty counts as a step; what happens more often is no exception.
    """
    middle = sorted(errors)[len(errors) // 2]
    sizes = sorted(abs(error - middle) for error in errors)
    usual = max(
        _STEP_SIGMAS * _SIGMAS_PER_DEVIATION * sizes[len(sizes) // 2],
        sizes[int((1 - _STEPS_SHARE) * (len(sizes) - 1))],
    )
    cut = list(growth)
    owed = 0.0
    for index, error in enumerate(errors):
        beyond = error - middle
        if beyond > usual:
            owed += beyond - usual
            cut[index] -= beyond - usual
        elif beyond < -usual and owed:
            returned = min(owed, -usual - beyond)
            owed -= returned
            cut[index] += returned
    return cut
