"""Healthy programs of the tuning half."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from families import shapes
from families.recipe import Recipe, generator

if TYPE_CHECKING:
    from collections.abc import Iterator

_healthy = partial(Recipe, half="tuning")


def recipes() -> Iterator[Recipe]:
    """Yield every healthy series of the tuning half."""
    yield from _constant()
    yield from _teeth()
    yield from _warm_up()
    yield from _load()
    yield from _seasons()
    yield from _transient()
    yield from _allocator()


def _constant() -> Iterator[Recipe]:
    for label, interval, n, level, sigma, tau in (
        ("run", 0.25, 400, 22.0, 0.3, 6),
        ("hours", 10.0, 900, 180.0, 3.0, 25),
        ("week", 300.0, 2016, 420.0, 9.0, 12),
    ):
        name = f"ok_steady_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="steady worker",
            shape="steady",
            interval=interval,
            live=level + shapes.wander(rng, n, sigma, tau),
            limit_mib=int(4 * level),
        )
    yield _healthy(
        name="ok_idle_run",
        program="idle process",
        shape="idle",
        interval=0.25,
        live=np.full(360, 18.0),
    )


def _teeth() -> Iterator[Recipe]:
    for label, interval, n, teeth, height, phase in (
        ("few", 0.25, 480, 3.4, 9.0, 0.0),
        ("two", 10.0, 600, 2.7, 25.0, 0.0),
        ("some", 1.0, 900, 8.0, 45.0, 0.6),
        ("many", 10.0, 900, 60.0, 30.0, 0.2),
        ("long", 60.0, 1440, 5.5, 120.0, 0.4),
    ):
        name = f"ok_teeth_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="regular collector",
            shape="sawtooth",
            interval=interval,
            live=30
            + shapes.sawtooth(n, teeth, height, phase)
            + shapes.wander(rng, n, 0.02 * height, 4),
        )


def _warm_up() -> Iterator[Recipe]:
    for label, interval, n, tau, height in (
        ("short", 1.0, 900, 0.04, 50.0),
        ("middle", 10.0, 720, 0.12, 120.0),
        ("long", 0.25, 480, 0.22, 30.0),
        ("longest", 300.0, 1152, 0.3, 200.0),
        ("unfinished", 1.0, 600, 0.45, 40.0),
    ):
        name = f"ok_saturating_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="cache with exponential fill",
            shape="warm-up",
            interval=interval,
            live=20 + shapes.saturating(n, tau, height) + shapes.wander(rng, n, 0.01 * height, 8),
            limit_mib=1024,
        )
    for label, interval, n, full_at, height, is_native in (
        ("early", 0.25, 360, 0.1, 12.0, False),
        ("third", 10.0, 720, 0.33, 60.0, True),
        ("late", 1.0, 1200, 0.45, 35.0, False),
    ):
        name = f"ok_filling_{label}"
        rng = generator(name)
        fill = shapes.filling(n, full_at, height)
        rest = 25 + shapes.wander(rng, n, 0.4, 10)
        yield _healthy(
            name=name,
            program="ring buffer",
            shape="bounded buffer",
            interval=interval,
            live=rest if is_native else rest + fill,
            native=12 + fill if is_native else 12.0,
        )
    for label, interval, n, pause, total in (
        ("run", 0.25, 400, 0.3, 25.0),
        ("hour", 1.0, 1200, 0.2, 90.0),
    ):
        name = f"ok_two_stage_{label}"
        rng = generator(name)
        second = np.concatenate(
            [np.zeros(int(pause * n)), shapes.saturating(n - int(pause * n), 0.12, 0.5 * total)]
        )
        yield _healthy(
            name=name,
            program="imports, then connection pool",
            shape="warm-up",
            interval=interval,
            live=10
            + shapes.saturating(n, 0.02, 0.5 * total)
            + second
            + shapes.wander(rng, n, 0.2, 6),
        )


def _load() -> Iterator[Recipe]:
    for label, interval, n, marks in (
        ("up", 0.25, 480, [(0.0, 0), (0.6, 70)]),
        ("up_early", 60.0, 1440, [(0.0, 0), (0.15, 200)]),
        ("up_down", 10.0, 800, [(0.0, 0), (0.3, 40), (0.7, 5)]),
        ("stairs", 1.0, 1200, [(0.0, 0), (0.2, 30), (0.35, 60), (0.5, 90)]),
    ):
        name = f"ok_pool_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="worker pool that scales",
            shape="load steps",
            interval=interval,
            live=25 + 0.4 * shapes.levels(n, marks) + shapes.wander(rng, n, 0.5, 8),
            native=12 + 0.6 * shapes.levels(n, marks),
        )
    for label, interval, n, marks in (
        ("there_and_back", 0.25, 480, [(0.1, 0), (0.4, 40), (0.55, 40), (0.9, 2)]),
        ("new_plateau", 10.0, 900, [(0.2, 0), (0.45, 60), (1, 60)]),
        ("late_plateau", 1.0, 900, [(0.5, 0), (0.75, 45), (1, 45)]),
        ("down", 1.0, 900, [(0.1, 80), (0.7, 10), (1, 10)]),
        ("after_hours", 10.0, 2880, [(0.7, 0), (0.74, 40), (1, 40)]),
        ("after_a_day", 60.0, 2880, [(0.6, 0), (0.66, 50), (0.8, 50), (0.84, 2), (1, 2)]),
    ):
        name = f"ok_ramp_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="straight load test",
            shape="ramps",
            interval=interval,
            live=30 + shapes.ramps(n, marks) + shapes.wander(rng, n, 0.7, 10),
            notes="while it rises, nothing tells it from a leak" if label == "late_plateau" else "",
        )


def _seasons() -> Iterator[Recipe]:
    for first_hour, days in ((0, 6), (8, 6), (14, 6), (20, 6), (5, 1.3), (9, 2.1)):
        name = f"ok_sine_day_from_{first_hour:02}"
        rng = generator(name)
        n = int(days * 288)
        time = np.arange(n) * 300.0
        yield _healthy(
            name=name,
            program="service with a sinusoidal day",
            shape="daily load",
            interval=300.0,
            live=90 + shapes.sine_day(time, 60, first_hour) + shapes.wander(rng, n, 2.5, 12),
            limit_mib=1024,
            notes=f"{days} days",
        )
    for label, days, weekend in (("weeks", 28, 0.5), ("months", 90, 0.7)):
        name = f"ok_sine_week_{label}"
        rng = generator(name)
        interval = 1800.0 if label == "weeks" else 3600.0
        n = int(days * shapes.DAY / interval)
        time = np.arange(n) * interval
        hours = time / 3600
        calm = np.where((hours // 24 % 7) >= 5, weekend, 1.0)
        yield _healthy(
            name=name,
            program="machine with a sinusoidal week",
            shape="machine",
            interval=interval,
            live=6000
            + shapes.sine_day(time, 2500, 10) * calm
            + shapes.wander(rng, n, 150, 6)
            + shapes.heavy_spikes(rng, n, 0.005, 300, 3000),
            columns="rss+limit",
            limit_mib=16384,
        )
    for first_hour in (5, 17):
        name = f"ok_machine_sine_from_{first_hour:02}"
        rng = generator(name)
        n = 2016
        time = np.arange(n) * 300.0
        yield _healthy(
            name=name,
            program="machine with a sinusoidal day",
            shape="machine",
            interval=300.0,
            live=3200
            + shapes.sine_day(time, 900, first_hour)
            + shapes.wander(rng, n, 60, 10)
            + shapes.heavy_spikes(rng, n, 0.004, 200, 2000),
            columns="rss+limit",
            limit_mib=8192,
        )


def _transient() -> Iterator[Recipe]:
    for label, interval, n, every, width, height in (
        ("run", 0.25, 480, 60, 10, 30.0),
        ("day", 60.0, 1440, 240, 40, 250.0),
        ("rare", 10.0, 800, 260, 70, 60.0),
    ):
        name = f"ok_batch_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="batch job in native arrays",
            shape="batch",
            interval=interval,
            live=30 + shapes.wander(rng, n, 0.4, 8),
            native=12 + shapes.batches(rng, n, every, width, height),
        )
    for label, interval, n, sigma, tau in (
        ("run", 0.25, 480, 4.0, 30),
        ("hours", 10.0, 1000, 14.0, 80),
    ):
        name = f"ok_churn_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="random churn",
            shape="churn",
            interval=interval,
            live=70 + shapes.wander(rng, n, sigma, tau),
        )
    name = "ok_spikes_hour"
    rng = generator(name)
    yield _healthy(
        name=name,
        program="large requests",
        shape="spikes",
        interval=1.0,
        live=40 + shapes.wander(rng, 1200, 0.5, 8),
        native=12 + shapes.heavy_spikes(rng, 1200, 0.02, 8, 200),
    )
    name = "ok_rss_churn"
    rng = generator(name)
    yield _healthy(
        name=name,
        program="random churn, seen from outside",
        shape="churn",
        interval=10.0,
        live=120 + shapes.wander(rng, 900, 6, 20),
        columns="rss",
    )


def _allocator() -> Iterator[Recipe]:
    for label, interval, n, tau, height in (
        ("run", 0.25, 480, 0.15, 10.0),
        ("hours", 10.0, 900, 0.2, 60.0),
    ):
        name = f"ok_fragmentation_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="fragmented arenas",
            shape="fragmentation",
            interval=interval,
            live=35 + shapes.wander(rng, n, 0.8, 8),
            pinned=shapes.saturating(n, tau, height),
            notes="live bytes are flat, arenas cannot be given back",
        )
    name = "ok_restart_hour"
    rng = generator(name)
    half = 20 + shapes.saturating(600, 0.1, 50) + shapes.wander(rng, 600, 0.6, 8)
    yield _healthy(
        name=name,
        program="restarted cache",
        shape="restart",
        interval=1.0,
        live=np.concatenate([half, half]),
        keeps=0.0,
        notes="the process is replaced in the middle",
    )
