"""Leaking programs of the tuning half."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from families import shapes
from families.recipe import Recipe, generator

if TYPE_CHECKING:
    from collections.abc import Iterator

_leak = partial(Recipe, half="tuning", segment="python")


def recipes() -> Iterator[Recipe]:
    """Yield every leaking series of the tuning half."""
    yield from _straight()
    yield from _noisy()
    yield from _shaped()
    yield from _native()
    yield from _hidden()
    yield from _machines()


def _straight() -> Iterator[Recipe]:
    for label, interval, n, begin, total in (
        ("start_run", 0.25, 400, 0.0, 25.0),
        ("start_day", 60.0, 1440, 0.0, 90.0),
        ("quiet_run", 0.25, 480, 0.2, 14.0),
        ("quiet_hours", 10.0, 900, 0.3, 50.0),
        ("late_hour", 1.0, 1200, 0.6, 40.0),
        ("small_hours", 10.0, 900, 0.2, 5.0),
        ("after_hours", 10.0, 2880, 0.6, 35.0),
        ("after_a_day", 60.0, 2880, 0.7, 45.0),
    ):
        name = f"leak_straight_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="list that is never cleared",
            shape="linear",
            interval=interval,
            live=35 + shapes.line(n, begin, total) + shapes.wander(rng, n, 0.4, 8),
            leak_start=begin,
        )
    for label, interval, n, begin, stop in (
        ("run", 0.25, 480, 0.15, 0.55),
        ("day", 60.0, 1440, 0.2, 0.65),
    ):
        name = f"leak_stopped_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="faulty feature that is switched off",
            shape="stops",
            interval=interval,
            live=40 + shapes.line(n, begin, 45, stop) + shapes.wander(rng, n, 0.6, 10),
            leak_start=begin,
            leak_stop=stop,
        )


def _noisy() -> Iterator[Recipe]:
    for percent, interval, n, begin, total in (
        (1, 300.0, 1440, 0.2, 12.0),
        (3, 10.0, 900, 0.1, 18.0),
        (10, 1.0, 1200, 0.25, 45.0),
        (20, 60.0, 1440, 0.2, 80.0),
    ):
        name = f"leak_noise_{percent:02}"
        rng = generator(name)
        level = 60.0
        yield _leak(
            name=name,
            program="slow loss under correlated load",
            shape="slow under noise",
            interval=interval,
            live=level
            + shapes.line(n, begin, total)
            + shapes.wander(rng, n, level * percent / 100, 4),
            leak_start=begin,
            limit_mib=400,
        )
    for first_hour, begin in ((4, 0.2), (16, 0.35)):
        name = f"leak_sine_day_from_{first_hour:02}"
        rng = generator(name)
        n = 2016
        time = np.arange(n) * 300.0
        yield _leak(
            name=name,
            program="service with a sinusoidal day and a loss",
            shape="slow under daily load",
            interval=300.0,
            live=80
            + shapes.sine_day(time, 50, first_hour)
            + shapes.line(n, begin, 60)
            + shapes.wander(rng, n, 2, 12),
            leak_start=begin,
            limit_mib=600,
        )


def _shaped() -> Iterator[Recipe]:
    for label, interval, n, begin, steps, total in (
        ("run", 0.25, 480, 0.15, 12, 20.0),
        ("hours", 10.0, 900, 0.2, 10, 60.0),
    ):
        name = f"leak_stairs_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="result set kept by a periodic job",
            shape="steps",
            interval=interval,
            live=30 + shapes.staircase(n, begin, steps, total) + shapes.wander(rng, n, 0.4, 8),
            leak_start=begin,
        )
    for label, interval, n, begin, total in (
        ("run", 0.25, 480, 0.2, 40.0),
        ("hour", 1.0, 1200, 0.1, 90.0),
    ):
        name = f"leak_quadratic_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="list copied into each of its entries",
            shape="accelerating",
            interval=interval,
            live=32 + shapes.power(n, begin, total, 2) + shapes.wander(rng, n, 0.5, 8),
            leak_start=begin,
        )
    for label, interval, n, teeth, height, begin, total in (
        ("run", 0.25, 560, 7, 10.0, 0.1, 15.0),
        ("hour", 1.0, 1200, 20, 30.0, 0.2, 40.0),
        ("days", 300.0, 1440, 14, 60.0, 0.3, 60.0),
    ):
        name = f"leak_teeth_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="regular collector with a rising floor",
            shape="sawtooth",
            interval=interval,
            live=30
            + shapes.sawtooth(n, teeth, height)
            + shapes.line(n, begin, total)
            + shapes.wander(rng, n, 0.3, 4),
            leak_start=begin,
        )


def _native() -> Iterator[Recipe]:
    for label, interval, n, begin, total in (
        ("run", 0.25, 400, 0.15, 18.0),
        ("hours", 10.0, 900, 0.25, 70.0),
    ):
        name = f"leak_extension_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="C extension that forgets to free",
            shape="native",
            interval=interval,
            live=38 + shapes.wander(rng, n, 0.5, 8),
            native=15 + shapes.line(n, begin, total) + np.abs(shapes.wander(rng, n, 0.2, 5)),
            leak_start=begin,
            segment="native",
        )
    for label, interval, n, begin, total in (
        ("run", 0.25, 480, 0.2, 30.0),
        ("hour", 1.0, 1200, 0.1, 80.0),
    ):
        name = f"leak_maps_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="driver that maps and never unmaps",
            shape="mapped only",
            interval=interval,
            live=30 + shapes.wander(rng, n, 0.4, 8),
            native=14.0,
            mapped=3 + shapes.line(n, begin, total),
            leak_start=begin,
            segment="mapped",
            notes="only resident minus committed minus native grows",
        )
    name = "leak_threads_hour"
    rng = generator(name)
    threads = shapes.staircase(900, 0.15, 40, 40)
    yield _leak(
        name=name,
        program="threads that never end",
        shape="per thread",
        interval=1.0,
        live=25 + 0.05 * threads + shapes.wander(rng, 900, 0.3, 8),
        native=13 + 0.1 * threads,
        mapped=2 + 0.6 * threads,
        leak_start=0.15,
        segment="mapped",
    )


def _hidden() -> Iterator[Recipe]:
    for label, interval, n, tau, begin, total in (
        ("run", 0.25, 560, 0.05, 0.3, 14.0),
        ("hours", 10.0, 900, 0.08, 0.35, 50.0),
    ):
        name = f"leak_after_saturating_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="cache with exponential fill, then a loss",
            shape="after warm-up",
            interval=interval,
            live=22
            + shapes.saturating(n, tau, 40)
            + shapes.line(n, begin, total)
            + shapes.wander(rng, n, 0.4, 8),
            leak_start=begin,
        )
    name = "leak_with_cache_hour"
    rng = generator(name)
    yield _leak(
        name=name,
        program="filling cache beside a loss",
        shape="with cache",
        interval=1.0,
        live=25
        + shapes.saturating(1200, 0.08, 50)
        + shapes.line(1200, 0.0, 60)
        + shapes.wander(rng, 1200, 0.5, 8),
        leak_start=0.0,
    )
    name = "leak_after_pool_step"
    rng = generator(name)
    yield _leak(
        name=name,
        program="worker pool that scales, then leaks",
        shape="after a step",
        interval=10.0,
        live=30
        + shapes.levels(900, [(0.0, 0), (0.25, 40)])
        + shapes.line(900, 0.4, 35)
        + shapes.wander(rng, 900, 0.6, 8),
        leak_start=0.4,
    )
    name = "leak_rss_run"
    rng = generator(name)
    yield _leak(
        name=name,
        program="list that is never cleared, seen from outside",
        shape="resident only",
        interval=0.25,
        live=60 + shapes.line(480, 0.2, 20) + shapes.wander(rng, 480, 0.8, 6),
        columns="rss",
        leak_start=0.2,
        segment="unknown",
    )


def _machines() -> Iterator[Recipe]:
    for label, first_hour, begin in (("linear", 6, 0.3), ("stairs", 15, 0.25), ("teeth", 21, 0.2)):
        name = f"leak_machine_sine_{label}"
        rng = generator(name)
        n = 2016
        time = np.arange(n) * 300.0
        loss = {
            "linear": shapes.line(n, begin, 2200),
            "stairs": shapes.staircase(n, begin, 12, 2400),
            "teeth": shapes.line(n, begin, 1800) + shapes.sawtooth(n, 21, 500),
        }[label]
        yield _leak(
            name=name,
            program="machine with a sinusoidal day and a loss",
            shape="machine",
            interval=300.0,
            live=3400
            + shapes.sine_day(time, 800, first_hour)
            + loss
            + shapes.wander(rng, n, 60, 10)
            + shapes.heavy_spikes(rng, n, 0.003, 200, 1500),
            columns="rss+limit",
            limit_mib=8192,
            leak_start=begin,
            segment="unknown",
        )
    name = "leak_machine_months_sine"
    rng = generator(name)
    n = 1440
    time = np.arange(n) * 3600.0
    yield _leak(
        name=name,
        program="machine with a sinusoidal week and a loss",
        shape="machine",
        interval=3600.0,
        live=6000
        + shapes.sine_day(time, 2000, 3)
        + shapes.line(n, 0.3, 5000)
        + shapes.wander(rng, n, 150, 6),
        columns="rss+limit",
        limit_mib=16384,
        leak_start=0.3,
        segment="unknown",
    )
