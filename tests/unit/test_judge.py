"""A process's second start, by the light of its first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._baseline_store import BaselineStore
from opentelemetry.instrumentation.memory._judge import Judge
from opentelemetry.instrumentation.memory.model import MemorySample, Partition

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
MINUTE = 60.0
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


def test_without_a_store_nothing_is_written(tmp_path: Path) -> None:
    judge = Judge(0.0, epoch=lambda: 0.0)
    judge.consider_and_learn(MemorySample(0.0, 1, 10 * MIB))
    assert list(tmp_path.iterdir()) == []
