"""From the shape of a rise to the probability that it is a leak."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._detection.envelope import Rise

# Lower than any score of a rise that is weighed.
IMPLAUSIBLE: Final = -100.0
SUSPECTED_RISK: Final = 0.5
CONFIRMED_RISK: Final = 0.9
WITHDRAWN_RISK: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a rise must fulfil to be a leak at all; beyond any of these it is something else.

    Attributes:
        least_share_of_resident: Height, as a share of the resident set before it.
        most_times_to_limit: Headroom, in heights.
        least_over_given_back: Height, in heights of like rises that were given back.
        largest_step: Largest step, as a share of the height.
        most_concavity: How much it may slow down.
        most_fallen_back: How far below its peak it may be, as a share of the height.
        most_pace_before: Up to what earlier pace it counts as beginning from rest.
        least_share_of_history: Where it did not: the least part of the history that it takes up.
        most_height_before: There: the most it rose before, in heights.
        most_share_of_logarithm: There: the most concavity, as a share of a logarithm's.
    """

    least_share_of_resident: float
    most_times_to_limit: float
    least_over_given_back: float
    largest_step: float
    most_concavity: float
    most_fallen_back: float
    most_pace_before: float
    least_share_of_history: float
    most_height_before: float
    most_share_of_logarithm: float


# What raises a verdict.
RAISE: Final = Limits(
    least_share_of_resident=0.02,
    most_times_to_limit=200.0,
    least_over_given_back=1.5,
    largest_step=0.27,
    most_concavity=0.05,
    most_fallen_back=0.35,
    most_pace_before=0.4,
    least_share_of_history=0.5,
    most_height_before=1.0,
    most_share_of_logarithm=0.5,
)
# The wider limits within which a raised one holds: a season's ebb, one large step or a pause do not
# withdraw what took long to establish.
HOLD: Final = Limits(
    least_share_of_resident=0.015,
    most_times_to_limit=300.0,
    least_over_given_back=0.7,
    largest_step=0.55,
    most_concavity=0.09,
    most_fallen_back=2.0,
    most_pace_before=0.6,
    least_share_of_history=0.4,
    most_height_before=1.5,
    most_share_of_logarithm=0.8,
)

_MOST_CONVEXITY: Final = 0.3
# A rise that makes up nearly the whole history has no quiet before it to compare with.
_WHOLE_HISTORY: Final = 0.97
_MOST_CONCAVITY_OF_WHOLE_HISTORY: Final = 0.04
# After a standstill half as long as the rise itself it is not the tail of an earlier one.
_AFRESH: Final = 0.5
# Quiet counts up to twice as long as the rise: else one that has run for a month would be
# accused of its first ramp at once.
_MOST_QUIET: Final = 2.0
# Rounding, or a single step, must not make a rise too short to be timed.
LEAST_RISING: Final = 0.05
# A rise that takes up less of the history than this counts for less, in proportion: the longer a
# process has run, the more it takes to call it a leak.
_BRIEF: Final = 0.3
# But not where the limit is so few heights away.
_URGENT_HEIGHTS: Final = 2.0

# Those of concavity and quiet were found on the labelled catalogue's tuning half and on random
# series, by `benchmarks/detection/calibrate.py`; that of duration sets the scale of the others.
_WEIGHTS: Final = {
    "duration": 1.34,
    "concavity": -30.00,
    "quiet_before": 1.50,
}
_INTERCEPT: Final = 0.60
# Where a verdict is confirmed was chosen: patient, beside what `calibrate.py` finds best.
# `evaluate.py` prints how far the risk can be believed.
_SCORE_AT_HALF: Final = -1.1
_SHARPNESS: Final = math.log(9) / 1.5


def features(rise: Rise, *, is_urgent: bool = False) -> dict[str, float]:
    """Return what is weighed; all of it is free of scale and of level.

    Durations count in samples, since nothing else measures evidence on every time scale. A
    standstill at either end of a rise is no part of its duration; the one before it is quiet. The
    longer it was quiet before, the less a rise needs: what grows from the start may be warming up.
    The less of the history it takes up, the more it needs, unless there is no time to wait.
    """
    rising = max(rise.rising_share, LEAST_RISING)
    share = 1.0 if is_urgent else min(1.0, rising * rise.share_of_samples / _BRIEF)
    quiet = min((rise.quiet_before + rise.still_share) / rising, _MOST_QUIET)
    return {
        "duration": math.log(rise.samples * rising * share / 300),
        "concavity": max(rise.slowing, 0.0),
        "quiet_before": math.log1p(quiet),
    }


def is_urgent(rise: Rise, resident_bytes: float, limit_bytes: float | None) -> bool:
    """Tell whether the limit is reached before the rise has lasted for three times as long."""
    return limit_bytes is not None and limit_bytes - resident_bytes < _URGENT_HEIGHTS * rise.height


def obstacle(  # noqa: PLR0911 - one return a reason, cheapest first: this runs most often
    rise: Rise, resident_bytes: float, limit_bytes: float | None, limits: Limits
) -> str | None:
    """Return what else than a leak explains this rise, in words; None when nothing does."""
    height = rise.height
    if height < limits.least_share_of_resident * (resident_bytes - height):
        return "growth is too small to matter"
    headroom = 0.0 if limit_bytes is None else limit_bytes - resident_bytes
    if headroom > limits.most_times_to_limit * height:
        return "growth is too slow to reach the limit in any foreseeable time"
    if rise.largest_step > limits.largest_step:
        return "most of the growth came in a single step"
    if height < limits.least_over_given_back * rise.height_given_back:
        return "rises of this size have been given back before"
    if rise.fallen_back > limits.most_fallen_back:
        return "the rise is within the usual fluctuation"
    if rise.concavity < -_MOST_CONVEXITY:
        return "nearly all of the growth is recent"
    if _slows_down(rise, limits):
        return "growth is slowing down, like a cache that fills"
    return None


def _slows_down(rise: Rise, limits: Limits) -> bool:
    if rise.slowing > limits.most_concavity:
        return True
    if rise.share_of_history > _WHOLE_HISTORY:
        return rise.slowing > _MOST_CONCAVITY_OF_WHOLE_HISTORY
    if rise.pace_before <= limits.most_pace_before or rise.quiet_before > _AFRESH:
        return False
    # It grew before this rise as well. Over its later part a saturating curve looks straight, so
    # the rise must be most of the history, higher than all before it, and straighter than a
    # logarithm would be.
    share = rise.share_of_history
    return (
        share < limits.least_share_of_history
        or rise.pace_before * (1 - share) > limits.most_height_before * share
        or rise.slowing > limits.most_share_of_logarithm * _logarithm_concavity(share)
    )


def _logarithm_concavity(share: float) -> float:
    """Return the concavity of log(t) over the last `share` of the time since t = 0."""
    ratio = min(share / max(1 - share, 0.02), 50.0)
    if ratio < 1e-6:  # noqa: PLR2004 - below this the difference of logarithms is rounding
        return 0.0
    logarithm = math.log1p(ratio)
    return ((1 + ratio) * logarithm - ratio) / (ratio * logarithm) - 0.5


def score(rise: Rise, *, is_urgent: bool = False) -> float:
    """Return the log odds, not yet calibrated, that a rise without obstacle is a leak."""
    weighed = features(rise, is_urgent=is_urgent)
    return _INTERCEPT + sum(_WEIGHTS[name] * value for name, value in weighed.items())


def risk(score: float) -> float:
    """Return the calibrated risk, between 0 and 1."""
    if score <= IMPLAUSIBLE:
        return 0.0
    return 1 / (1 + math.exp(-_SHARPNESS * (score - _SCORE_AT_HALF)))
