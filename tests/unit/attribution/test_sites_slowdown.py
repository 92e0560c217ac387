"""What an application loses while it is watched, told from CPU times alone."""

from __future__ import annotations

import pytest
from tests.fakes import FakeClock

from opentelemetry.instrumentation.memory._attribution.sites_slowdown import Slowdown

PLAIN_SECONDS = 10.0
WATCHED_SECONDS = 2.0


class LateClock(FakeClock):
    """Each call comes back late, as where another thread has the GIL."""

    is_late = False

    def now(self) -> float:
        self._now += 0.005 * self.is_late
        return self._now


def lost(plain_share: float, watched_share: float, *, is_late: bool = False) -> float:
    clock = LateClock()
    slowdown = Slowdown(clock)
    since = slowdown.moment()
    clock.wait(PLAIN_SECONDS, plain_share * PLAIN_SECONDS)
    slowdown.count_plain(since)
    began = slowdown.begin()
    clock.wait(WATCHED_SECONDS, watched_share * WATCHED_SECONDS)
    clock.is_late = is_late
    slowdown.probe()
    clock.is_late = False
    return slowdown.lost_cpu_seconds(began)


def test_what_is_used_beyond_the_share_from_before_is_lost() -> None:
    assert lost(0.2, 0.5) == pytest.approx(0.3 * WATCHED_SECONDS)


def test_application_that_uses_no_more_than_before_has_lost_nothing() -> None:
    assert lost(0.3, 0.3) == pytest.approx(0.0)


def test_application_that_uses_less_than_before_has_not_gained() -> None:
    assert lost(0.5, 0.1) == 0.0


def test_application_that_uses_a_whole_core_is_taken_to_lose_most_of_it() -> None:
    assert 0.9 * WATCHED_SECONDS < lost(1.0, 1.0) < WATCHED_SECONDS


def test_application_that_waits_for_its_turn_is_taken_to_lose_most_of_what_it_gets() -> None:
    assert 0.36 * WATCHED_SECONDS < lost(0.4, 0.4, is_late=True) < 0.4 * WATCHED_SECONDS


def test_own_work_is_not_the_applications() -> None:
    clock = FakeClock()
    slowdown = Slowdown(clock)
    began = slowdown.begin()
    clock.work(1.0)
    assert slowdown.lost_cpu_seconds(began) == 0.0


@pytest.mark.parametrize(("share", "most"), [(0.0, 0.0), (0.01, 0.19), (0.5, 1.0), (3.0, 3.0)])
def test_worst_case_before_a_trial_is_bounded_by_what_the_application_can_use(
    share: float, most: float
) -> None:
    clock = FakeClock()
    slowdown = Slowdown(clock)
    since = slowdown.moment()
    clock.wait(10.0, share * 10.0)
    slowdown.count_plain(since)
    assert slowdown.most_lost_a_second() == pytest.approx(most)
