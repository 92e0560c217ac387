"""How much each of several things adds to a level, from what happened in many intervals.

Growth of memory is regressed on counts. What makes that harder than a textbook's regression, and
what is done about it:

- Part of the noise stays (a cache takes in what is asked for), part of it passes (memory in
  flight). The first leaves the growth of the next interval alone, the second turns it round. How
  much of each there is shows in the errors, and both sides are filtered accordingly
  (`_passing_part`): an exponentially weighted moving average, as in an ARIMA(0,1,1) model.
- What requests in flight hold is most of the noise where there are many of them. How many there are
  is known, so they have columns of their own (`Watch.passing`).
- What a request keeps for seconds looks like what it keeps for good while counts go up and down.
  So whatever stands out is looked at again with memory that fades in its place (`LIFETIMES`): where
  that explains growth about as well, it is not told. It never changes what is told.
- Growth that no count explains is allowed for: at a pace that is steady or changes steadily, and
  at one that dies away, as when the free lists of new threads fill up (`_paces`).
- A buffer that is there at one look and gone at the next is evened out (`_without_spikes`).
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
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._attribution.least_squares import Model, filtered
from opentelemetry.instrumentation.memory._attribution.student import student_quantile

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    Column = Sequence[float]

CONFIDENCE: Final = 0.95
LIFETIMES: Final = (0.01, 0.04)  # of memory that fades, as parts of what was watched
# One sided, shared by all columns. Stricter than the interval that is told: there are many columns,
# and they are looked at again and again.
_CHANCE_OF_FALSE_ALARM: Final = 0.005
# What is chosen for its looks fits the noise that it was chosen in, which so seems smaller than it
# is: of 40 routes that keep nothing, one was told in a few of a hundred sittings without this.
_CHOSEN_FOR_LOOKS: Final = 10
_LEAST_INTERVALS_PER_COLUMN: Final = 4
_MOST_SECOND_LOOKS: Final = 4
# How much likelier memory that is kept must be than memory that fades, or it is not told; a
# logarithm.
_LEAST_EVIDENCE: Final = 1.0
_SHORTEST_LIFETIME: Final = 3.0  # in intervals

_PASSING_PARTS: Final = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
_FIRST_PASSING_PART: Final = 0.5
# How soon growth that dies away does so, as parts of what was watched.
_WARM_UPS: Final = (0.025, 0.1)
_USUAL_SIGMAS: Final = 6.0
_LONGEST_SPIKE: Final = 2  # in intervals
_STEPS_SHARE: Final = 0.02
_ROUNDS: Final = 4
_LEAST_SPREAD: Final = 1e-6  # beside the largest
_SIGMAS_PER_DEVIATION: Final = 1.4826  # of the median absolute deviation, for a normal law


@dataclass(frozen=True, slots=True)
class Watch:
    """What happened in consecutive intervals; all columns are of the same length.

    Attributes:
        seconds: The length of each interval.
        growth: The growth of the level in it.
        counts: One column for each thing that may cause growth.
        passing: Growth of what holds memory only as long as it is there, such as requests in
            flight; explains growth and is not estimated.
        chosen_from: Of how many things the counts are those that seemed to explain growth. The best
            of many seems to explain it by chance alone, so more is asked of it.
    """

    seconds: Column
    growth: Column
    counts: Sequence[Column]
    passing: Sequence[Column] = ()
    chosen_from: int = 0


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
    allowed = allowed_for(watch)
    least = _LEAST_INTERVALS_PER_COLUMN * (wanted + len(allowed))
    if not wanted or len(watch.growth) < least:
        return (_UNKNOWN,) * wanted
    # Everything is scaled to be about one, so that no number is lost beside another.
    unit = _spread(watch.growth)
    sizes = [_size(column) for column in watch.counts]
    columns = [
        *(_scaled(column, size) for column, size in zip(watch.counts, sizes, strict=True)),
        *allowed,
    ]
    model, cut = yield from settled(columns, [value / unit for value in watch.growth])
    deviations, freedom = yield from model.deviations(cut)
    chances = wanted
    if watch.chosen_from > wanted:
        chances = _CHOSEN_FOR_LOOKS * watch.chosen_from
    strict = student_quantile(1 - _CHANCE_OF_FALSE_ALARM / chances, freedom)
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
    told = yield from _kept_for_good(model, columns, watch.seconds, cut, notable)
    return tuple(
        _UNKNOWN
        if model.is_mixture(index)
        else _estimate(
            weights[index],
            margin * deviations[index],
            unit / sizes[index],
            is_certain=index in told,
        )
        for index in range(wanted)
    )


def allowed_for(watch: Watch) -> list[list[float]]:
    """Return what may explain growth and is nothing that is counted."""
    if not watch.seconds:
        return []
    passing = [column for column in watch.passing if any(column)]
    return [*_paces(watch.seconds), *(_scaled(column, _size(column)) for column in passing)]


def settled(
    columns: Sequence[Column], growth: Column
) -> Generator[None, None, tuple[Model, list[float]]]:
    """Return the model of these columns, solved, and the growth without what is no fault of them.

    Args:
        columns: What may explain growth, of about the same size.
        growth: The growth in each interval, of about the same size, too.
    """
    model = Model(columns, _FIRST_PASSING_PART)
    yield from model.prepare()
    cut = _smoothed(growth, growth)
    for _ in range(_ROUNDS):
        model.solve(cut)
        cut = _smoothed(growth, model.errors(growth))
    yield
    model = Model(columns, _passing_part(model.errors(cut)))
    yield from model.prepare()
    for _ in range(_ROUNDS):
        model.solve(cut)
        cut = _smoothed(growth, model.errors(growth))
    model.solve(cut)
    yield
    return model, cut


def _kept_for_good(
    model: Model,
    columns: Sequence[Column],
    seconds: Column,
    growth: Column,
    notable: Sequence[int],
) -> Generator[None, None, set[int]]:
    """Return the columns of which memory that fades in their place explains growth less well."""
    lifetimes = _lifetimes(seconds)
    pairs = [(index, lifetime) for index in notable for lifetime in lifetimes]
    wider = model.beside([_fading(columns[index], seconds, each) for index, each in pairs])
    yield from wider.prepare()
    wider.solve(growth)
    first = len(model.moments)
    kept = set(notable)
    own = wider.unexplained(growth, range(first))
    for place, (index, _) in enumerate(pairs, start=first):
        rival = wider.unexplained(
            growth, [each for each in (*range(first), place) if each != index]
        )
        yield
        if len(growth) / 2 * math.log(rival / own) < _LEAST_EVIDENCE:
            kept.discard(index)
    return kept


def _estimate(weight: float, margin: float, unit: float, *, is_certain: bool) -> Estimate:
    value, least, most = (max(each, 0.0) for each in (weight, weight - margin, weight + margin))
    return Estimate(value * unit, least * unit, most * unit, is_certain and least > 0)


def _size(column: Column) -> float:
    largest = max(map(abs, column), default=0.0)
    if largest == 0:
        return 1.0
    return largest * math.sqrt(math.fsum((each / largest) ** 2 for each in column) / len(column))


def _scaled(column: Column, size: float) -> list[float]:
    return [value / size for value in column]


def _spread(column: Column) -> float:
    """Return the median size of what is in a column, which single large ones do not raise."""
    size = _size(column)
    return max(sorted(map(abs, column))[len(column) // 2], _LEAST_SPREAD * size) if column else size


def _passing_part(errors: Column) -> float:
    """Return how the errors are filtered best: so that least of them is left."""
    return min(
        _PASSING_PARTS,
        key=lambda part: math.fsum(each * each for each in filtered(errors, part)),
    )


def _paces(seconds: Column) -> list[list[float]]:
    """Return growth at a steady pace, at one that changes steadily, and at ones that die away."""
    mean, ends = math.fsum(seconds) / len(seconds), list(accumulate(seconds))
    lengths = [length / mean for length in seconds]
    places = [(end - length / 2) / ends[-1] for end, length in zip(ends, seconds, strict=True)]
    paces = [
        [1.0] * len(seconds),
        [2 * place - 1 for place in places],
        *([math.exp(-place / part) for place in places] for part in _WARM_UPS),
    ]
    return [list(map(mul, lengths, pace)) for pace in paces]


def _lifetimes(seconds: Column) -> list[float]:
    """Return how long memory may be held to be looked for; shorter ones look like memory kept.

    Within an interval or two nothing sets what fades apart from the noise.
    """
    watched = math.fsum(seconds)
    shortest = _SHORTEST_LIFETIME * watched / len(seconds)
    return [max(part * watched, shortest * 4**place) for place, part in enumerate(LIFETIMES)]


def _fading(counts: Column, seconds: Column, lifetime: float) -> list[float]:
    """Return the growth of a level that each count raises by one and that fades away."""
    # As if it had been so before: what fills up once is not what fades.
    level, growth = lifetime * math.fsum(counts) / math.fsum(seconds), []
    for count, length in zip(counts, seconds, strict=True):
        # What came within the interval has faded for half of it, on average.
        after = level * math.exp(-length / lifetime) + count * math.exp(-length / 2 / lifetime)
        growth.append(after - level)
        level = after
    return growth


def _smoothed(growth: Column, errors: Column) -> list[float]:
    """Return the growth without what is there at a single look, and with its steps cut."""
    return _without_steps(*_without_spikes(growth, errors))


def _without_spikes(growth: Column, errors: Column) -> tuple[list[float], list[float]]:
    """Return growth and errors without what is there at one look and gone soon after.

    A buffer of megabytes that is there for a moment, or counts that were taken too late. What is
    taken off one interval is put back to the next, so that nothing is lost.
    """
    middle = sorted(errors)[len(errors) // 2]
    sizes = sorted(abs(error - middle) for error in errors)
    usual = _USUAL_SIGMAS * _SIGMAS_PER_DEVIATION * sizes[len(sizes) // 2]
    cut, left = list(growth), [error - middle for error in errors]
    for index, beyond in enumerate(left):
        if abs(beyond) <= usual:
            continue
        for back in range(index + 1, min(index + 1 + _LONGEST_SPIKE, len(left))):
            if abs(left[back]) > usual / 2 and left[back] * beyond < 0:
                size = min(abs(left[back]), abs(beyond))
                moved = math.copysign(size, beyond)
                for part in (cut, left):
                    part[index] -= moved
                    part[back] += moved
    return cut, [error + middle for error in left]


def _without_steps(growth: Column, errors: Column) -> list[float]:
    """Return the growth with its single steps cut to what is expected.

    How large a step is says nothing of the requests beside it. Cut to the edge of what is usual it
    would still weigh as much as dozens of other intervals.

    What was cut upwards may be cut downwards again later: memory that was taken once and is given
    back. At most one interval in fifty counts as a step; what happens more often is no exception.
    """
    middle = sorted(errors)[len(errors) // 2]
    sizes = sorted(abs(error - middle) for error in errors)
    usual = max(
        _USUAL_SIGMAS * _SIGMAS_PER_DEVIATION * sizes[len(sizes) // 2],
        sizes[int((1 - _STEPS_SHARE) * (len(sizes) - 1))],
    )
    cut = list(growth)
    owed = 0.0
    for index, error in enumerate(errors):
        beyond = error - middle
        if beyond > usual:
            owed += beyond
            cut[index] -= beyond
        elif beyond < -usual and owed:
            returned = min(owed, -beyond)
            owed -= returned
            cut[index] += returned
    return cut
