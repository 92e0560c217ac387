"""A process's second start, by the light of its first."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from opentelemetry.instrumentation.memory._baseline_store import BaselineStore
from opentelemetry.instrumentation.memory._judge import Judge
from opentelemetry.instrumentation.memory.model import MemorySample, Partition

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
MINUTE = 60.0
DAY = 86_400.0
STEP = 1800.0
FILLING_MINUTES = 500
RUN_MINUTES = 4 * FILLING_MINUTES


def run_of_a_service_with_a_cache(store: BaselineStore, started_at: float) -> list[float]:
    """Return the risk after each minute of one run: a cache fills evenly, then turns over."""
    now = started_at
    judge = Judge(0.0, store=store, epoch=lambda: now)
    risks = []
    for minute in range(RUN_MINUTES):
        now = started_at + minute * MINUTE
        live = 40 * MIB + min(minute, FILLING_MINUTES) * MIB // 5 + minute % 3 * 4096
        sample = MemorySample(
            minute * MINUTE, 1, live + 20 * MIB, partition=Partition(live, 10 * MIB, MIB, 9 * MIB)
        )
        risks.append(judge.consider_and_learn(sample).risk)
    return risks


def test_second_start_is_not_surprised_by_its_own_warm_up(tmp_path: Path) -> None:
    def store() -> BaselineStore:
        return BaselineStore(str(tmp_path / "baselines"), "shop", "1.4.2")

    first = run_of_a_service_with_a_cache(store(), started_at=1e9)
    second = run_of_a_service_with_a_cache(store(), started_at=1e9 + RUN_MINUTES * MINUTE)
    assert max(first) >= 0.5
    assert max(second) < 0.5


@dataclass
class LeakingRun:
    """When a leak was confirmed and how far it had come, and what was kept of the run."""

    ended_at: float
    confirmed_share_of_limit: float | None


def run_until_the_limit(
    store: BaselineStore,
    started_at: float,
    gain_per_day: float,
    seed: int,
    most_days: float = 90.0,
) -> LeakingRun:
    """Return one run of a service that uses 100 MiB at first, and has a fifth more to lose."""
    rng = random.Random(seed)  # noqa: S311 - a seeded series
    now, limit = started_at, 120 * MIB
    judge = Judge(0.0, store=store, epoch=lambda: now)
    confirmed = None
    for step in range(int(most_days * DAY / STEP)):
        now = started_at + step * STEP
        level = 100 * MIB * (1 + gain_per_day * step * STEP / DAY)
        if level > limit:
            break
        live = int(level * rng.uniform(1, 1.004))
        sample = MemorySample(
            step * STEP, 1, live + 20 * MIB, partition=Partition(live, 10 * MIB, MIB, 9 * MIB)
        )
        verdict = judge.consider_and_learn(sample)
        if verdict.state == "confirmed" and confirmed is None:
            confirmed = level / limit
    return LeakingRun(now, confirmed)


@pytest.mark.parametrize("gain_per_day", [0.05 / 7, 0.065 / 7, 0.08 / 7, 0.01], ids="{:.3f}".format)
@pytest.mark.parametrize("healthy_days", [14, 0])
def test_leak_is_confirmed_in_every_run_however_often_it_restarts(
    gain_per_day: float, healthy_days: int, tmp_path: Path
) -> None:
    def store() -> BaselineStore:
        return BaselineStore(str(tmp_path), "shop", "1.4.2")

    now = 1e9
    if healthy_days:
        now = run_until_the_limit(store(), now, 0.0, seed=0, most_days=healthy_days).ended_at
        assert store().load() is not None
    shares = []
    for seed in range(1, 6):
        run = run_until_the_limit(store(), now + STEP, gain_per_day, seed)
        now = run.ended_at
        shares.append(run.confirmed_share_of_limit)
    assert all(share is not None and share < 0.97 for share in shares), shares
    assert store().load() is None


def test_worker_that_has_not_noticed_the_leak_does_not_bring_the_baseline_back(
    tmp_path: Path,
) -> None:
    def store() -> BaselineStore:
        return BaselineStore(str(tmp_path), "shop", "1.4.2")

    quiet = Judge(0.0, store=store(), epoch=lambda: 1e9)
    for minute in range(RUN_MINUTES):
        if minute == RUN_MINUTES // 2:
            assert store().load() is not None
            run_until_the_limit(store(), 1e9, 0.01, seed=1)
        quiet.consider_and_learn(
            MemorySample(minute * MINUTE, 1, 60 * MIB, partition=Partition(40 * MIB))
        )
    assert store().load() is None


def test_without_a_store_nothing_is_written(tmp_path: Path) -> None:
    judge = Judge(0.0, epoch=lambda: 0.0)
    judge.consider_and_learn(MemorySample(0.0, 1, 10 * MIB))
    assert list(tmp_path.iterdir()) == []
