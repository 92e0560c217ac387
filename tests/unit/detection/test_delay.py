"""How long a verdict takes, as the README says it."""

from __future__ import annotations

import pytest
from tests.unit.detection import shapes
from tests.unit.detection.shapes import Process

from opentelemetry.instrumentation.memory._detection.detector import LeakDetector


def minutes_until(state: str, quiet_minutes: int, limit_mib: float | None = 512.0) -> float | None:
    """Return how long after a leak began it was called so, at a sample in ten seconds."""
    quiet = 6 * quiet_minutes
    rng = shapes.seeded(1)
    n = quiet + 900
    levels = shapes.add(
        shapes.flat(40.0, n), shapes.line(0.08, start=quiet, n=n), shapes.noise(rng, n, 0.05)
    )
    detector = LeakDetector()
    process = Process("python_heap", interval_seconds=10.0, limit_mib=limit_mib)
    samples = process.samples(levels)
    states = [detector.update(each).state for each in samples]
    at = states.index(state) if state in states else None
    return None if at is None else (at - quiet) / 6


@pytest.mark.parametrize(
    ("quiet_minutes", "suspected", "confirmed"),
    [
        pytest.param(0, (15, 25), (40, 50), id="from the start"),
        pytest.param(60, (5, 15), (15, 25), id="after an hour"),
        pytest.param(2 * 24 * 60, (60, 80), (100, 120), id="after two days"),
    ],
)
def test_steady_leak_is_confirmed_when_the_readme_says(
    quiet_minutes: int, suspected: tuple[int, int], confirmed: tuple[int, int]
) -> None:
    for state, (least, most) in (("suspected", suspected), ("confirmed", confirmed)):
        minutes = minutes_until(state, quiet_minutes)
        assert minutes is not None
        assert least <= minutes <= most


def test_leak_is_confirmed_sooner_where_the_limit_is_near() -> None:
    far = minutes_until("confirmed", 2 * 24 * 60)
    near = minutes_until("confirmed", 2 * 24 * 60, limit_mib=150.0)
    assert far is not None
    assert near is not None
    assert near < far / 3
