"""The first traces that the detector was developed on, unchanged to the byte of their rows.

They are of an older make than `recipe.py`: fixed seeds, and only the resident set in whole pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from families.recipe import MIB, PAGE_BYTES, committed
from families.shapes import DAY, wander

if TYPE_CHECKING:
    from collections.abc import Iterator

    from families.shapes import Array

N = 1200
INDEX = np.arange(N)
MINUTES_A_DAY = DAY / 60
TEST_HALF = {
    "ok_sawtooth_slow",
    "ok_warmup_linear",
    "ok_step",
    "ok_daily_asym",
    "ok_log",
    "ok_noise_rss",
    "ok_churn",
    "leak_slow",
    "leak_steps",
    "leak_noise",
    "leak_quadratic",
    "leak_native_maps",
    "leak_rss_only",
}
SHAPES = {
    "warmup": "warm-up",
    "log": "warm-up",
    "warmup_linear": "bounded buffer",
    "sawtooth_slow": "sawtooth",
    "step": "load steps",
    "steps_load": "load steps",
    "ramp": "ramps",
    "daily_asym": "daily load",
    "noise_rss": "steady",
    "slow": "linear",
    "late": "linear",
    "noise": "slow under noise",
    "quadratic": "accelerating",
    "native_maps": "native",
    "rss_only": "resident only",
}


@dataclass(frozen=True)
class Ready:
    """Rows and manifest entry of one series."""

    rows: list[str]
    entry: dict[str, object]


def _series(  # noqa: PLR0913  one argument a property of the series
    name: str,
    seed: int,
    interval: float,
    live: Array,
    native: Array | None = None,
    *,
    leak: float | None = None,
    stop: float | None = None,
    segment: str = "none",
    limit_mib: int = 512,
    columns: Literal["all", "rss", "rss+limit"] = "all",
    notes: str,
) -> Ready:
    n = len(live)
    times = np.arange(n) * interval
    native = np.full(n, 12.0) if native is None else native
    held = committed(live, 0.85)
    noise = np.abs(np.random.default_rng(seed + 7).normal(0, 0.05, n))
    resident = ((9.0 + held + native + noise) * MIB / PAGE_BYTES).astype(np.int64) * PAGE_BYTES
    limit = "" if columns == "rss" else str(limit_mib * MIB)
    if columns == "all":
        rows = [
            f"{t:g},{r},{int(u * MIB)},{int(h * MIB)},{int(c * MIB)},{limit}"
            for t, r, u, h, c in zip(times, resident, live, held, native, strict=True)
        ]
    else:
        rows = [f"{t:g},{r},,,,{limit}" for t, r in zip(times, resident, strict=True)]
    kind, _, shape = name.partition("_")
    if name == "leak_daily":
        label = "slow under daily load"
    elif name == "ok_daily":
        label = "daily load"
    else:
        label = SHAPES.get(shape, shape)
    entry = {
        "name": name,
        "file": name + ".csv.gz",
        "source": "parametric",
        "truth": "leak" if kind == "leak" else "healthy",
        "class": label,
        "program": f"first traces: {name}",
        "half": "test" if name in TEST_HALF else "tuning",
        "leak_start_s": leak,
        "leak_stop_s": stop,
        "segment": segment,
        "duration_s": float(times[-1]),
        "interval_s": interval,
        "points": n,
        "notes": notes,
    }
    return Ready(rows, entry)


def _noise(seed: int, sigma: float, tau: float, n: int = N) -> Array:
    return wander(np.random.default_rng(seed), n, sigma, tau)


def _teeth(seed: int, slowest: float, fastest: float, top: float, spread: float) -> Array:
    rng = np.random.default_rng(seed)
    out = np.empty(N)
    level, threshold = 0.0, top
    for i in range(N):
        level += rng.uniform(slowest, fastest)
        if level > threshold:
            level = 0.0
            threshold = rng.uniform(top - spread, top + spread) if spread else top
        out[i] = level
    return out


def _loss(start: int, per_sample: float, n: int = N, stop: int | None = None) -> Array:
    return (np.clip(np.arange(n), start, n if stop is None else stop) - start) * per_sample


def series() -> Iterator[Ready]:
    """Yield the first traces, healthy ones before leaking ones."""
    yield from _healthy()
    yield from _leaking()


def _healthy() -> Iterator[Ready]:
    yield _series("ok_steady", 1, 1.0, 40 + _noise(1, 0.4, 8), notes="constant load")
    yield _series("ok_idle", 2, 10.0, np.full(600, 22.0), notes="nothing happens")
    teeth = _teeth(3, 0.2, 0.9, 30, 15)
    yield _series("ok_sawtooth", 3, 1.0, 30 + teeth, notes="collector sawtooth")
    long_teeth = _teeth(4, 0.05, 0.2, 40, 0)
    yield _series("ok_sawtooth_slow", 4, 10.0, 35 + long_teeth, notes="teeth of about 50 minutes")
    cache = 20 + 60 * (1 - np.exp(-INDEX / 220)) + _noise(5, 0.5, 10)
    yield _series("ok_warmup", 5, 1.0, cache, notes="cache fills asymptotically")
    buffer = 20 + np.minimum(INDEX, 260) * 0.2 + _noise(6, 0.4, 10)
    yield _series("ok_warmup_linear", 6, 1.0, buffer, notes="bounded buffer fills, then turns over")
    model = 12 + np.where(INDEX > 500, 130.0, 0.0)
    yield _series("ok_step", 7, 1.0, 25 + _noise(7, 0.3, 8), model, notes="one model load")
    marks = [0, 300, 301, 650, 651, 1000, 1001, N]
    workers = 30 + 18 * np.interp(INDEX, marks, [0, 0, 1, 1, 2, 2, 1, 1]) + _noise(8, 0.6, 15)
    yield _series("ok_steps_load", 8, 10.0, workers, notes="worker count follows the load")
    n = int(4 * MINUTES_A_DAY)
    angle = 2 * np.pi * np.arange(n) / MINUTES_A_DAY
    day = 45 + 15 * np.sin(angle) + _noise(9, 1.0, 30, n)
    yield _series("ok_daily", 9, 60.0, day, limit_mib=256, notes="daily season, four days")
    nights = 40 + 22 * np.clip(np.sin(angle), 0, None) ** 0.7 + _noise(10, 1.2, 20, n)
    yield _series(
        "ok_daily_asym",
        10,
        60.0,
        nights,
        columns="rss+limit",
        limit_mib=256,
        notes="daily season with flat nights",
    )
    ramp = np.interp(INDEX, [0, 200, 560, 900, N], [0, 0, 1, 0.05, 0])
    ramp = 25 + 40 * ramp + _noise(11, 0.6, 10)
    yield _series("ok_ramp", 11, 1.0, ramp, notes="load ramps up and down")
    churn = np.clip(60 + _noise(12, 9.0, 90), 30, 95)
    yield _series("ok_churn", 12, 1.0, churn, notes="bounded random walk")
    rng = np.random.default_rng(13)
    jobs = np.zeros(N)
    for begin in range(40, N, 110):
        height = rng.uniform(40, 120)
        jobs[begin : begin + int(rng.integers(8, 30))] = height
    batch = 30 + _noise(13, 0.4, 8)
    yield _series(
        "ok_batch", 13, 1.0, batch, 12 + jobs, notes="periodic batch job in native arrays"
    )
    words = 25 + 6 * np.log1p(INDEX / 25) + _noise(14, 0.3, 10)
    yield _series("ok_log", 14, 10.0, words, notes="converging vocabulary, logarithmic")
    loud = 50 + _noise(15, 4.0, 3)
    yield _series("ok_noise_rss", 15, 0.25, loud, columns="rss", notes="rss only, no limit known")


def _leaking() -> Iterator[Ready]:
    def python(  # noqa: PLR0913, PLR0917  the same
        name: str, seed: int, live: Array, start: int, notes: str, every: float = 1.0
    ) -> Ready:
        return _series(name, seed, every, live, leak=start * every, segment="python", notes=notes)

    yield python(
        "leak_linear", 21, 40 + _loss(120, 0.05) + _noise(21, 0.4, 8), 120, "0.05 MiB/s from 120 s"
    )
    slow = 40 + _loss(0, 0.008) + _noise(22, 0.5, 8)
    yield python("leak_slow", 22, slow, 0, "0.8 KiB/s for 3.3 h", every=10.0)
    steps = 35 + 4.0 * np.floor(_loss(200, 1 / 90)) + _noise(23, 0.4, 8)
    yield python("leak_steps", 23, steps, 200, "4 MiB every 90 s")
    loud = 45 + _loss(300, 0.03) + _noise(24, 3.5, 5)
    yield python("leak_noise", 24, loud, 300, "0.03 MiB/s under noise")
    n = int(4 * MINUTES_A_DAY)
    angle = 2 * np.pi * np.arange(n) / MINUTES_A_DAY
    day = int(MINUTES_A_DAY)
    yield _series(
        "leak_daily",
        25,
        60.0,
        45 + 15 * np.sin(angle) + _loss(day, 0.008, n) + _noise(25, 1.0, 30, n),
        leak=DAY,
        segment="python",
        limit_mib=256,
        notes="daily season, leak from day 2",
    )
    floor = 30 + _teeth(3, 0.2, 0.9, 30, 15)[::-1] * 0.6 + _loss(150, 0.025)
    yield python("leak_sawtooth", 26, floor, 150, "floor of the sawtooth rises")
    square = 40 + 60 * (np.clip(INDEX - 300, 0, None) / 900) ** 2 + _noise(27, 0.4, 8)
    yield python("leak_quadratic", 27, square, 300, "accelerating")
    late = 50 + _noise(28, 1.2, 25) + _loss(800, 0.08)
    yield python("leak_late", 28, late, 800, "starts after two thirds")
    yield _series(
        "leak_stops",
        29,
        1.0,
        40 + _loss(200, 0.06, stop=700) + _noise(29, 0.5, 10),
        leak=200.0,
        stop=700.0,
        segment="python",
        notes="faulty feature switched off",
    )
    native = 15 + _loss(180, 0.06) + np.abs(_noise(31, 0.2, 5))
    yield _series(
        "leak_native",
        30,
        1.0,
        40 + _noise(30, 0.5, 8),
        native,
        leak=180.0,
        segment="native",
        notes="C heap grows, python heap flat",
    )
    rng = np.random.default_rng(32)
    maps = np.zeros(N)
    for begin in np.cumsum(rng.integers(30, 80, 40)):
        if 250 < begin < N:
            maps[begin:] += rng.integers(1, 4)
    yield _series(
        "leak_native_maps",
        32,
        1.0,
        40 + _noise(32, 0.5, 8),
        15 + maps,
        leak=250.0 + int(np.argmax(maps[250:] > 0)),
        segment="native",
        notes="maps of 1..3 MiB every 30..80 s",
    )
    yield _series(
        "leak_rss_only",
        33,
        10.0,
        80 + _loss(350, 0.04) + _noise(33, 1.5, 12),
        leak=3500.0,
        segment="unknown",
        columns="rss",
        notes="rss only, no limit known",
    )
