"""Random labelled series of three kinds of run: a short process, a service, a machine over days.

They ask what the catalogue cannot: how the detector does on programs that nobody has chosen.
Shapes, lengths, levels and noise are drawn anew for each; a leaking one is a quiet one with a leak
added. Seeds from `FITTED_FROM` on are for `calibrate.py`, those from zero on for judging.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from families.shapes import wander
from series import Label, Row, Series

if TYPE_CHECKING:
    from collections.abc import Callable

    from families.shapes import Array
    from numpy.random import Generator

MIB: Final = 2**20
KINDS: Final = ("process", "service", "machine")
FITTED_FROM: Final = 1_000_000
JUDGED_EACH: Final = 60
SAMPLES_A_DAY: Final = 288


def labels(first: int = 0, each: int = JUDGED_EACH) -> tuple[Label, ...]:
    """Return the labels of `each` quiet and as many leaking series of every kind."""
    return tuple(
        series(f"random_{kind}_{'leak' if is_leak else 'ok'}_{first + number}").label
        for kind in KINDS
        for is_leak in (False, True)
        for number in range(each)
    )


def series(name: str) -> Series:
    """Return the series of that name, the same each time."""
    _, kind, truth, number = name.split("_")
    rng = np.random.default_rng([KINDS.index(kind), truth == "leak", int(number)])
    interval = {"process": 0.25, "service": 10.0, "machine": 300.0}[kind]
    shape, levels = _quiet(rng, kind)
    start = None
    if truth == "leak":
        while shape in _STRAIGHT and rng.random() < 0.5:
            shape, levels = _quiet(rng, kind)
        start = _onset(rng, kind)
        rise = np.median(levels) * rng.uniform(0.3, 1.5)
        levels = levels + rise * _leak(rng, np.arange(len(levels)) / len(levels), start)
    label = Label(
        name=name,
        file="",
        is_leak=start is not None,
        shape=f"{kind}, {shape}",
        program=name,
        half="random",
        source="random",
        leak_start_seconds=None if start is None else start * (len(levels) - 1) * interval,
        leak_stop_seconds=None,
        segment="none" if start is None else "unknown" if kind == "machine" else "python",
    )
    rows = tuple(
        _row(kind, index * interval, max(round(level * MIB), 1))
        for index, level in enumerate(levels)
    )
    return Series(label, rows)


def _row(kind: str, time: float, level: int) -> Row:
    if kind == "machine":
        return Row(time, level)
    # Two MiB are kept by the object allocator; a C heap of ten stands beside.
    return Row(time, level + 12 * MIB, level, level + 2 * MIB, 10 * MIB, 512 * MIB)


def _onset(rng: Generator, kind: str) -> float:
    is_early = kind == "process" and rng.random() < 0.7
    return float(rng.uniform(0, 0.15 if is_early else 0.6))


def _quiet(rng: Generator, kind: str) -> tuple[str, Array]:
    level = rng.uniform(20, 80)
    if kind == "machine":
        return "season", _machine(rng, level)
    n = int(rng.integers(240, 721) if kind == "process" else rng.integers(900, 3001))
    noise = wander(rng, n, level * rng.choice([0.003, 0.01, 0.03]), rng.choice([2, 8, 30]))
    shape = str(rng.choice(sorted(_SHAPES)))
    height = level * rng.uniform(0.3, 2)
    return shape, level + height * _SHAPES[shape](rng, np.arange(n) / n) + noise


def _machine(rng: Generator, level: float) -> Array:
    n = SAMPLES_A_DAY * int(rng.integers(5, 11))
    days, phase = np.arange(n) / SAMPLES_A_DAY, rng.uniform(0, 1)
    height = rng.uniform(0.1, 0.5) * level
    wave = np.sin(2 * np.pi * (days + phase))
    season = height * (wave if rng.random() < 0.5 else np.clip(wave, 0, None) ** 0.7)
    if rng.random() < 0.4:
        season = season * (1 - 0.6 * ((np.floor(days + phase * 7) % 7) >= 5))
    levels = level + height + season + wander(rng, n, level * 0.03, rng.choice([5, 50]))
    if rng.random() < 0.3:
        levels = levels + level * rng.uniform(0.1, 0.4) * (days > rng.uniform(0.2, 0.8) * days[-1])
    if rng.random() < 0.3:
        for start in rng.integers(0, n, 5):
            levels[start : start + int(rng.integers(3, 15))] += level * rng.uniform(0.2, 0.6)
    return levels


def _cache(rng: Generator, t: Array) -> Array:
    return 1 - np.exp(-t / rng.uniform(0.03, 0.3))


def _two_caches(rng: Generator, t: Array) -> Array:
    later = np.clip(t - rng.uniform(0.2, 0.6), 0, None)
    return 0.6 * (1 - np.exp(-t / 0.06)) + 0.4 * (1 - np.exp(-later / 0.06))


def _vocabulary(rng: Generator, t: Array) -> Array:
    scale = rng.uniform(0.005, 0.05)
    return np.log1p(t / scale) / np.log1p(1 / scale)


def _filling(rng: Generator, t: Array) -> Array:
    return np.minimum(t / rng.uniform(0.05, 0.35), 1)


def _steps(rng: Generator, t: Array) -> Array:
    return sum((0.5 * (t > at) for at in rng.uniform(0, 1, int(rng.integers(1, 4)))), 0 * t)


def _teeth(rng: Generator, t: Array, least: float = 0.02, most: float = 0.12) -> Array:
    period = rng.uniform(least, most)
    return ((t + rng.uniform(0, period)) % period) / period


def _slow_teeth(rng: Generator, t: Array) -> Array:
    return _teeth(rng, t, 0.12, 0.3)


def _batch(rng: Generator, t: Array) -> Array:
    period = rng.uniform(0.05, 0.25)
    return (t % period < period * rng.uniform(0.1, 0.4)) * 1.0


def _season(rng: Generator, t: Array) -> Array:
    return 0.5 + 0.5 * np.sin(2 * np.pi * (t / rng.uniform(0.1, 0.4) + rng.uniform(0, 1)))


def _ramp(rng: Generator, t: Array) -> Array:
    start, length = rng.uniform(0.05, 0.7), rng.uniform(0.03, 0.2)
    up = np.clip((t - start) / length, 0, 1)
    if rng.random() < 0.5:
        return up
    return up * (1 - np.clip((t - rng.uniform(start + length, 1.1)) / length, 0, 1))


def _churn(rng: Generator, t: Array) -> Array:
    walk = wander(rng, len(t), 0.2, len(t) * rng.uniform(0.01, 0.08))
    return np.clip(walk, -0.6, 0.6) + 0.6


def _steady(_: Generator, t: Array) -> Array:
    return 0 * t


_SHAPES: Final[dict[str, Callable[[Generator, Array], Array]]] = {
    "batch": _batch,
    "cache": _cache,
    "churn": _churn,
    "filling": _filling,
    "ramp": _ramp,
    "season": _season,
    "slow teeth": _slow_teeth,
    "steady": _steady,
    "steps": _steps,
    "teeth": _teeth,
    "two caches": _two_caches,
    "vocabulary": _vocabulary,
}
# With a leak on top of these nobody could say when it began; only half of them are kept.
_STRAIGHT: Final = ("ramp", "filling", "slow teeth")


def _leak(rng: Generator, t: Array, start: float) -> Array:
    grown = np.clip(t - start, 0, None) / (1 - start)
    pace = rng.choice(["line", "line", "steps", "accelerating", "lumps"])
    if pace == "line":
        return grown
    if pace == "steps":
        count = int(rng.integers(6, 25))
        return np.floor(grown * count) / count
    if pace == "accelerating":
        return grown**1.7
    lumps = rng.exponential(1, len(t)) * (rng.random(len(t)) < 0.1) * (t >= start)
    return np.cumsum(lumps) / max(lumps.sum(), 1e-9)
