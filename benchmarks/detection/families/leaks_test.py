"""Leaking programs of the test half: other programs than those in the tuning half."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from families import shapes
from families.recipe import Recipe, generator

if TYPE_CHECKING:
    from collections.abc import Iterator

_leak = partial(Recipe, half="test", segment="python")


def recipes() -> Iterator[Recipe]:
    """Yield every leaking series of the test half."""
    yield from _straight()
    yield from _noisy()
    yield from _shaped()
    yield from _native()
    yield from _hidden()
    yield from _machines()


def _straight() -> Iterator[Recipe]:
    for label, interval, n, begin, total in (
        ("start_run", 0.25, 320, 0.0, 16.0),
        ("start_hours", 10.0, 900, 0.0, 120.0),
        ("quiet_run", 0.25, 600, 0.25, 18.0),
        ("quiet_day", 60.0, 1440, 0.35, 60.0),
        ("late_run", 0.25, 640, 0.55, 16.0),
        ("small_day", 60.0, 1200, 0.15, 5.0),
        ("after_hours", 10.0, 2880, 0.65, 40.0),
        ("after_a_day", 60.0, 2880, 0.7, 50.0),
    ):
        name = f"leak_registry_{label}"
        rng = generator(name)
        load = shapes.sessions(rng, n, 120, 15)
        yield _leak(
            name=name,
            program="registry of closed sessions",
            shape="linear",
            interval=interval,
            live=26 + 8 * load + shapes.under_load(shapes.line(n, begin, total), load),
            leak_start=begin,
        )
    for label, interval, n, begin, stop in (
        ("run", 0.25, 640, 0.2, 0.6),
        ("hours", 10.0, 900, 0.1, 0.5),
    ):
        name = f"leak_drained_{label}"
        rng = generator(name)
        loss = shapes.random_staircase(rng, int(stop * n), begin / stop, 40, 50)
        yield _leak(
            name=name,
            program="backlog that grows until its consumer is repaired",
            shape="stops",
            interval=interval,
            live=36
            + np.concatenate([loss, np.full(n - len(loss), loss[-1])])
            + np.abs(shapes.jitter(rng, n, 0.6)),
            leak_start=begin,
            leak_stop=stop,
        )


def _noisy() -> Iterator[Recipe]:
    for percent, interval, n, begin, total in (
        (2, 60.0, 1440, 0.15, 12.0),
        (5, 0.25, 640, 0.15, 22.0),
        (12, 10.0, 1000, 0.2, 50.0),
        (30, 300.0, 2016, 0.2, 110.0),
    ):
        name = f"leak_jitter_{percent:02}"
        rng = generator(name)
        level = 75.0
        yield _leak(
            name=name,
            program="slow loss under heavy-tailed requests",
            shape="slow under noise",
            interval=interval,
            live=level
            + shapes.line(n, begin, total)
            + np.abs(shapes.jitter(rng, n, level * percent / 100)),
            leak_start=begin,
        )
    for label, first_hour, begin in (("monday", 9, 0.25), ("friday", 96, 0.3)):
        name = f"leak_business_from_{label}"
        rng = generator(name)
        n = 2016
        time = np.arange(n) * 600.0
        load = shapes.business_hours(time, 1.0, first_hour, 0.4)
        yield _leak(
            name=name,
            program="service with business hours and a loss by request",
            shape="slow under daily load",
            interval=600.0,
            live=100
            + 60 * load
            + shapes.under_load(shapes.line(n, begin, 80), load + 0.1)
            + shapes.wander(rng, n, 2.5, 8),
            leak_start=begin,
            limit_mib=700,
            notes="two weeks",
        )


def _shaped() -> Iterator[Recipe]:
    for label, interval, n, begin, steps, total in (
        ("run", 0.25, 640, 0.1, 28, 24.0),
        ("hour", 1.0, 1200, 0.2, 24, 50.0),
        ("day", 60.0, 1440, 0.15, 30, 150.0),
    ):
        name = f"leak_uploads_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="uploads kept by a forgotten reference",
            shape="steps",
            interval=interval,
            live=34 + np.abs(shapes.jitter(rng, n, 0.5)),
            native=12 + shapes.random_staircase(rng, n, begin, steps, total),
            leak_start=begin,
            segment="native",
        )
    for label, interval, n, begin, total, exponent in (
        ("run", 0.25, 480, 0.25, 30.0, 1.7),
        ("hours", 10.0, 900, 0.15, 120.0, 2.5),
    ):
        name = f"leak_retries_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="retries that breed retries",
            shape="accelerating",
            interval=interval,
            live=28 + shapes.power(n, begin, total, exponent) + 4 * shapes.sessions(rng, n, 60, 12),
            leak_start=begin,
        )
    for label, interval, n, teeth, height, begin, total in (
        ("run", 0.25, 640, 9, 8.0, 0.15, 14.0),
        ("hour", 1.0, 1200, 15, 35.0, 0.2, 45.0),
        ("day", 60.0, 1440, 10, 50.0, 0.25, 70.0),
    ):
        name = f"leak_ragged_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="irregular collector with a rising floor",
            shape="sawtooth",
            interval=interval,
            live=26 + shapes.ragged_sawtooth(rng, n, teeth, height) + shapes.line(n, begin, total),
            leak_start=begin,
        )


def _native() -> Iterator[Recipe]:
    for label, interval, n, begin, total in (
        ("run", 0.25, 480, 0.2, 20.0),
        ("day", 60.0, 1200, 0.15, 90.0),
    ):
        name = f"leak_parser_{label}"
        rng = generator(name)
        load = shapes.sessions(rng, n, 80, 10)
        yield _leak(
            name=name,
            program="parser handles that are not released",
            shape="native",
            interval=interval,
            live=30 + 6 * load,
            native=18 + 2 * load + shapes.under_load(shapes.line(n, begin, total), load),
            leak_start=begin,
            segment="native",
        )
    for label, interval, n, begin, maps, total in (
        ("run", 0.25, 480, 0.1, 30, 30.0),
        ("hours", 10.0, 900, 0.3, 40, 160.0),
    ):
        name = f"leak_frames_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="video frames mapped in steps",
            shape="mapped only",
            interval=interval,
            live=28 + np.abs(shapes.jitter(rng, n, 0.4)),
            native=16.0,
            mapped=5 + shapes.random_staircase(rng, n, begin, maps, total),
            leak_start=begin,
            segment="mapped",
            notes="only resident minus committed minus native grows",
        )
    name = "leak_connections_run"
    rng = generator(name)
    threads = shapes.random_staircase(rng, 560, 0.15, 30, 30)
    yield _leak(
        name=name,
        program="one thread for each lost connection",
        shape="per thread",
        interval=0.25,
        live=22 + 0.04 * threads + np.abs(shapes.jitter(rng, 560, 0.2)),
        native=12 + 0.08 * threads,
        mapped=2 + 0.5 * threads,
        leak_start=0.15,
        segment="mapped",
    )


def _hidden() -> Iterator[Recipe]:
    for label, interval, n, begin, total in (
        ("run", 0.25, 640, 0.35, 14.0),
        ("hours", 10.0, 900, 0.25, 60.0),
    ):
        name = f"leak_after_zipf_{label}"
        rng = generator(name)
        yield _leak(
            name=name,
            program="least-recently-used cache under Zipf keys, then a loss",
            shape="after warm-up",
            interval=interval,
            live=20
            + 40 * shapes.zipf_cache(rng, n, 16, 1200, 0.9)
            + shapes.line(n, begin, total)
            + shapes.wander(rng, n, 0.3, 6),
            leak_start=begin,
        )
    name = "leak_beside_vocabulary"
    rng = generator(name)
    yield _leak(
        name=name,
        program="interned names beside a loss",
        shape="with cache",
        interval=10.0,
        live=30
        + shapes.vocabulary(900, 0.02, 40)
        + shapes.line(900, 0.0, 70)
        + shapes.wander(rng, 900, 0.6, 8),
        leak_start=0.0,
    )
    name = "leak_after_tables"
    rng = generator(name)
    yield _leak(
        name=name,
        program="lookup tables loaded on demand, then a loss",
        shape="after a step",
        interval=1.0,
        live=24
        + shapes.levels(1200, [(0.0, 0), (0.1, 25), (0.3, 45)])
        + shapes.line(1200, 0.45, 40)
        + np.abs(shapes.jitter(rng, 1200, 0.5)),
        leak_start=0.45,
    )
    name = "leak_rss_hours"
    rng = generator(name)
    yield _leak(
        name=name,
        program="registry of closed sessions, seen from outside",
        shape="resident only",
        interval=10.0,
        live=75 + 15 * shapes.sessions(rng, 900, 90, 30) + shapes.line(900, 0.25, 55),
        columns="rss",
        leak_start=0.25,
        segment="unknown",
    )


def _machines() -> Iterator[Recipe]:
    for label, first_hour, begin in (
        ("linear", 10, 0.3),
        ("stairs", 60, 0.2),
        ("spikes", 100, 0.25),
        ("teeth", 18, 0.3),
    ):
        name = f"leak_machine_business_{label}"
        rng = generator(name)
        n = 2304
        time = np.arange(n) * 300.0
        loss = {
            "linear": shapes.line(n, begin, 4200),
            "stairs": shapes.random_staircase(rng, n, begin, 16, 4500),
            "spikes": shapes.random_staircase(rng, n, begin, 24, 4000),
            "teeth": shapes.line(n, begin, 3600) + shapes.ragged_sawtooth(rng, n, 18, 900),
        }[label]
        if label == "spikes":
            jumps = np.diff(loss, prepend=0.0)
            loss = loss + np.convolve(jumps, 3 * np.exp(-np.arange(40) / 8))[:n]
        yield _leak(
            name=name,
            program="machine with business hours and a loss",
            shape="machine",
            interval=300.0,
            live=5400
            + shapes.business_hours(time, 1600, first_hour, 0.6)
            + loss
            + shapes.wander(rng, n, 120, 20)
            + shapes.heavy_spikes(rng, n, 0.003, 400, 3000),
            columns="rss+limit",
            limit_mib=16384,
            leak_start=begin,
            segment="unknown",
        )
    name = "leak_machine_months_business"
    rng = generator(name)
    n = 1440
    time = np.arange(n) * 7200.0
    yield _leak(
        name=name,
        program="machine with business hours for months and a loss",
        shape="machine",
        interval=7200.0,
        live=9000
        + shapes.business_hours(time, 3500, 40, 0.3)
        + shapes.line(n, 0.35, 9000)
        + shapes.wander(rng, n, 350, 20),
        columns="rss+limit",
        limit_mib=32768,
        leak_start=0.35,
        segment="unknown",
    )
