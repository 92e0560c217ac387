"""Healthy programs of the test half: other programs than those in the tuning half."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from families import shapes
from families.recipe import Recipe, generator

if TYPE_CHECKING:
    from collections.abc import Iterator

_healthy = partial(Recipe, half="test")


def recipes() -> Iterator[Recipe]:
    """Yield every healthy series of the test half."""
    yield from _constant()
    yield from _teeth()
    yield from _warm_up()
    yield from _load()
    yield from _seasons()
    yield from _transient()
    yield from _allocator()


def _constant() -> Iterator[Recipe]:
    for label, interval, n, level, sigma in (
        ("run", 0.25, 360, 26.0, 0.6),
        ("hours", 10.0, 720, 90.0, 4.0),
        ("day", 60.0, 1440, 240.0, 24.0),
        ("loud", 1.0, 900, 60.0, 12.0),
    ):
        name = f"ok_jitter_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="steady service with heavy-tailed requests",
            shape="steady",
            interval=interval,
            live=level + np.abs(shapes.jitter(rng, n, sigma)),
            limit_mib=int(5 * level),
        )
    for label, interval, n, beat in (("run", 0.25, 480, 40), ("days", 300.0, 1440, 12)):
        live = 16 + np.where(np.arange(n) % beat < 2, 0.02, 0.0)
        yield _healthy(
            name=f"ok_heartbeat_{label}",
            program="idle agent with a heartbeat",
            shape="idle",
            interval=interval,
            live=live,
            limit_mib=128,
        )


def _teeth() -> Iterator[Recipe]:
    for label, interval, n, teeth, height in (
        ("few", 0.25, 600, 4, 14.0),
        ("two", 10.0, 600, 2.7, 30.0),
        ("some", 1.0, 1200, 9, 60.0),
        ("many", 60.0, 1440, 36, 90.0),
    ):
        name = f"ok_ragged_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="irregular collector",
            shape="sawtooth",
            interval=interval,
            live=28 + shapes.ragged_sawtooth(rng, n, teeth, height),
        )
    for label, interval, n, teeth in (("run", 0.25, 480, 4), ("hours", 10.0, 900, 7)):
        name = f"ok_generations_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="minor and major collections",
            shape="sawtooth",
            interval=interval,
            live=22 + shapes.two_level_sawtooth(n, teeth, 6, 24) + shapes.wander(rng, n, 0.3, 5),
        )


def _warm_up() -> Iterator[Recipe]:
    for label, interval, n, draws, exponent, bound, height in (
        ("hot", 1.0, 1200, 26, 1.1, 2500, 60.0),
        ("flat", 0.25, 480, 26, 0.8, 2500, 18.0),
        ("bound", 10.0, 900, 8, 0.9, 1500, 150.0),
    ):
        name = f"ok_zipf_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="least-recently-used cache under Zipf keys",
            shape="warm-up",
            interval=interval,
            live=18
            + height * shapes.zipf_cache(rng, n, draws, bound, exponent)
            + shapes.wander(rng, n, 0.3, 6),
            limit_mib=768,
        )
    for label, interval, n, knee, height in (
        ("run", 0.25, 600, 0.01, 12.0),
        ("unfinished", 1.0, 900, 0.06, 30.0),
        ("days", 300.0, 1440, 0.02, 90.0),
    ):
        name = f"ok_vocabulary_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="interned names",
            shape="warm-up",
            interval=interval,
            live=24 + shapes.vocabulary(n, knee, height) + shapes.wander(rng, n, 0.02 * height, 10),
        )
    for label, interval, n, half_at in (("hour", 1.0, 1200, 0.05), ("hours", 10.0, 800, 0.12)):
        name = f"ok_hyperbolic_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="memo table in the C heap",
            shape="warm-up",
            interval=interval,
            live=30 + shapes.wander(rng, n, 0.4, 8),
            native=10 + shapes.hyperbolic(n, half_at, 70),
        )
    for label, interval, n, full_at, height in (
        ("early", 10.0, 900, 0.12, 80.0),
        ("late", 0.25, 640, 0.4, 20.0),
        ("days", 300.0, 1440, 0.3, 300.0),
    ):
        name = f"ok_history_{label}"
        rng = generator(name)
        bursts = np.cumsum(rng.random(n) < 0.25) / (0.25 * n)
        yield _healthy(
            name=name,
            program="bounded history filled in bursts",
            shape="bounded buffer",
            interval=interval,
            live=20 + height * np.minimum(bursts / full_at, 1) + shapes.wander(rng, n, 0.3, 8),
            limit_mib=1024,
        )


def _load() -> Iterator[Recipe]:
    for label, interval, n, marks in (
        ("table", 0.25, 400, [(0.0, 0), (0.35, 25)]),
        ("tenants", 10.0, 900, [(0.0, 20), (0.15, 45), (0.4, 60), (0.55, 30), (0.8, 50)]),
        ("reload", 1.0, 1200, [(0.0, 40), (0.3, 90), (0.33, 46), (0.7, 95), (0.73, 47)]),
        ("stairs", 60.0, 1440, [(0.0, 0), (0.1, 50), (0.22, 80), (0.3, 130), (0.45, 150)]),
    ):
        name = f"ok_tables_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="lookup tables loaded on demand",
            shape="load steps",
            interval=interval,
            live=22 + shapes.levels(n, marks) + np.abs(shapes.jitter(rng, n, 0.5)),
        )
    for label, interval, n, begin, end, height in (
        ("run", 0.25, 480, 0.2, 0.5, 22.0),
        ("hour", 1.0, 1200, 0.1, 0.35, 70.0),
        ("late", 10.0, 900, 0.5, 0.8, 45.0),
        ("after_hours", 10.0, 2880, 0.7, 0.76, 45.0),
        ("after_a_day", 60.0, 2880, 0.6, 0.64, 60.0),
    ):
        name = f"ok_rollout_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="traffic shifted to a new release",
            shape="ramps",
            interval=interval,
            live=26
            + shapes.smooth_rise(n, begin, end, height) * (1 + shapes.wander(rng, n, 0.02, 6)),
            notes="while it rises, nothing tells it from a leak" if label == "late" else "",
        )
    name = "ok_trapezoids_hours"
    rng = generator(name)
    marks = [(0.1, 0), (0.25, 50), (0.4, 50), (0.5, 0), (0.6, 0), (0.75, 55), (0.88, 55), (0.97, 0)]
    yield _healthy(
        name=name,
        program="two rush hours",
        shape="ramps",
        interval=10.0,
        live=34 + shapes.ramps(900, marks) * (1 + shapes.wander(rng, 900, 0.03, 5)),
    )


def _seasons() -> Iterator[Recipe]:
    for label, first_hour, weekend, days in (
        ("monday", 0, 0.3, 14),
        ("thursday", 72 + 13, 0.5, 14),
        ("saturday", 120 + 7, 0.3, 14),
        ("tuesday", 24 + 2, 0.3, 1.4),
        ("sunday", 144 + 15, 0.4, 1.9),
    ):
        name = f"ok_business_from_{label}"
        rng = generator(name)
        n = int(days * 144)
        time = np.arange(n) * 600.0
        yield _healthy(
            name=name,
            program="service with business hours",
            shape="daily load",
            interval=600.0,
            live=110
            + shapes.business_hours(time, 85, first_hour, weekend)
            + shapes.wander(rng, n, 3, 8),
            limit_mib=1024,
            notes=f"{days} days",
        )
    for label, first_hour, days in (("morning", 6, 8), ("evening", 18, 5)):
        name = f"ok_machine_business_{label}"
        rng = generator(name)
        n = int(days * 288)
        time = np.arange(n) * 300.0
        cron = np.where(np.arange(n) % 288 < 3, 700.0, 0.0)
        yield _healthy(
            name=name,
            program="machine with business hours",
            shape="machine",
            interval=300.0,
            live=5200
            + shapes.business_hours(time, 1800, first_hour, 0.6)
            + cron
            + shapes.wander(rng, n, 120, 20)
            + shapes.heavy_spikes(rng, n, 0.003, 400, 4000),
            columns="rss+limit",
            limit_mib=16384,
        )
    for label, first_hour, days in (("quarter", 30, 91), ("half_year", 100, 150)):
        name = f"ok_machine_months_{label}"
        rng = generator(name)
        interval = 3600.0 if days < 100 else 7200.0
        n = int(days * shapes.DAY / interval)
        time = np.arange(n) * interval
        yield _healthy(
            name=name,
            program="machine with business hours for months",
            shape="machine",
            interval=interval,
            live=9000
            + shapes.business_hours(time, 4000, first_hour, 0.25)
            + shapes.wander(rng, n, 350, 30),
            columns="rss+limit",
            limit_mib=32768,
        )


def _transient() -> Iterator[Recipe]:
    for label, interval, n, every, width, height in (
        ("run", 0.25, 600, 90, 18, 16.0),
        ("week", 300.0, 2016, 288, 18, 400.0),
        ("rare", 10.0, 900, 330, 80, 70.0),
    ):
        name = f"ok_etl_{label}"
        rng = generator(name)
        jobs = shapes.batches(rng, n, every, width, height)
        rise = np.convolve(jobs, np.ones(6) / 6, mode="same")
        yield _healthy(
            name=name,
            program="extract and load in Python objects",
            shape="batch",
            interval=interval,
            live=35 + rise + shapes.wander(rng, n, 0.5, 6),
            limit_mib=1024,
        )
    for label, interval, n, mean, stay, height in (
        ("run", 0.25, 480, 60, 50, 18.0),
        ("hours", 10.0, 900, 25, 60, 60.0),
        ("day", 60.0, 1440, 200, 120, 150.0),
    ):
        name = f"ok_sessions_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="sessions that come and go",
            shape="churn",
            interval=interval,
            live=24 + height * shapes.sessions(rng, n, mean, stay),
        )
    for label, interval, n, rate in (("run", 0.25, 480, 0.03), ("hours", 10.0, 900, 0.015)):
        name = f"ok_shots_{label}"
        rng = generator(name)
        yield _healthy(
            name=name,
            program="bursts that drain",
            shape="spikes",
            interval=interval,
            live=30 + shapes.decaying_shots(rng, n, rate, 20, 12) + shapes.wander(rng, n, 0.3, 6),
        )
    name = "ok_rss_sessions"
    rng = generator(name)
    yield _healthy(
        name=name,
        program="sessions that come and go, seen from outside",
        shape="churn",
        interval=1.0,
        live=70 + 30 * shapes.sessions(rng, 900, 80, 40) + np.abs(shapes.jitter(rng, 900, 0.5)),
        columns="rss",
    )


def _allocator() -> Iterator[Recipe]:
    for label, interval, n, arenas in (("run", 0.25, 480, 9), ("day", 60.0, 1200, 30)):
        name = f"ok_pinned_{label}"
        rng = generator(name)
        at = n * 0.6 * np.sort(rng.random(arenas) ** 1.6)
        yield _healthy(
            name=name,
            program="arenas pinned one by one",
            shape="fragmentation",
            interval=interval,
            live=32 + np.abs(shapes.jitter(rng, n, 0.6)),
            pinned=np.searchsorted(at, np.arange(n)).astype(float) * 1.5,
            notes="live bytes are flat, the last arena is pinned before two thirds of the run",
        )
    name = "ok_recycled_days"
    rng = generator(name)
    n = 1440
    age = np.arange(n) % 480
    yield _healthy(
        name=name,
        program="worker replaced every other day",
        shape="restart",
        interval=360.0,
        live=60 + 80 * (1 - np.exp(-age / 60)) + shapes.wander(rng, n, 2.5, 10),
        keeps=0.0,
        columns="no limit",
    )
