"""When to look next: often while something happens, seldom while nothing does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

QUIET_TO_INVESTIGATING: Final = 0.5
INVESTIGATION_SHARE_OF_CORE: Final = 0.01
# What a sample costs is an average of the last few, and the next may be dearer.
_AIMED_PART_OF_BUDGET: Final = 0.8


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides how soon the next sample is worth taking; shares are between 0 and 1.

    Attributes:
        cpu_share: CPU that the process used since the last sample, in cores.
        resident_change: Change of the resident set since the last sample, as a share of it.
        limit_utilization: What counts against the limit, as a share of it; 0 without one.
        risk: Leak risk.
        sample_cost_seconds: CPU time that one sample takes, with its wake-up.
    """

    cpu_share: float = 0.0
    resident_change: float = 0.0
    limit_utilization: float = 0.0
    risk: float = 0.0
    sample_cost_seconds: float = 0.0


class Schedule:
    """Turns circumstances into the time until the next sample.

    The most urgent circumstance counts. The interval shrinks at once and at most doubles from one
    sample to the next, so that a burst is followed to its end. The budget has the last word: the
    interval never gets so short that samples would cost more than 80 % of their share of a core.
    """

    def __init__(
        self, min_interval_seconds: float, max_interval_seconds: float, budget_share: float
    ) -> None:
        self._shortest = min_interval_seconds
        self._longest = max_interval_seconds
        self._budget_share = budget_share
        self._last = min_interval_seconds

    def share_of_core(self, risk: float) -> float:
        """Return the share of one core that the monitor may use at this risk."""
        if risk >= QUIET_TO_INVESTIGATING:
            return max(self._budget_share, INVESTIGATION_SHARE_OF_CORE)
        return self._budget_share

    def next_interval_seconds(self, now: Circumstances) -> float:
        """Return how long to wait, between the configured bounds."""
        wanted = self._longest * (self._shortest / self._longest) ** _urgency(now)
        aimed_share = _AIMED_PART_OF_BUDGET * self.share_of_core(now.risk)
        affordable = now.sample_cost_seconds / aimed_share
        interval = max(min(wanted, 2 * self._last), affordable)
        self._last = min(max(interval, self._shortest), self._longest)
        return self._last


def _urgency(now: Circumstances) -> float:
    return max(
        _ramp(now.cpu_share, 0.05, 0.5),
        _ramp(now.resident_change, 0.005, 0.05),
        _ramp(now.limit_utilization, 0.8, 0.95),
        _ramp(now.risk, 0.3, QUIET_TO_INVESTIGATING),
    )


def _ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)
