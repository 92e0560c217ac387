"""What happens to a series on its way to a judge in real life: other clocks, scales, noise, gaps.

A transform returns a new series with its label moved along, or None where it makes no sense.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from series import Row, Series

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

    Transform = Callable[[Series], Series | None]


def _generator(series: Series, what: str) -> Generator:
    return np.random.default_rng(zlib.crc32(f"{what} {series.label.name}".encode()))


def _scaled(value: int | None, factor: float) -> int | None:
    return None if value is None else round(value * factor)


def stretch_time(series: Series, factor: float) -> Series:
    """The same curve, slower or faster."""
    label = series.label

    def moved(moment: float | None) -> float | None:
        return None if moment is None else moment * factor

    return Series(
        replace(
            label,
            leak_start_seconds=moved(label.leak_start_seconds),
            leak_stop_seconds=moved(label.leak_stop_seconds),
        ),
        tuple(replace(row, time=row.time * factor) for row in series.rows),
    )


def scale_level(series: Series, factor: float) -> Series:
    """The same curve in a smaller or larger process, limit included."""
    return Series(
        series.label,
        tuple(
            Row(
                row.time,
                round(row.rss * factor),
                _scaled(row.heap_used, factor),
                _scaled(row.heap_committed, factor),
                _scaled(row.native_used, factor),
                _scaled(row.limit, factor),
                row.pid,
            )
            for row in series.rows
        ),
    )


def add_noise(series: Series, share: float) -> Series:
    """White noise on every live column, its deviation a share of that column's level."""
    rng = _generator(series, f"noise {share}")
    rows = []
    for row in series.rows:
        if row.heap_used is None or row.heap_committed is None or row.native_used is None:
            rows.append(replace(row, rss=max(1, round(row.rss * (1 + share * rng.normal())))))
            continue
        used = max(1, round(row.heap_used * (1 + share * rng.normal())))
        native = max(1, round(row.native_used * (1 + share * rng.normal())))
        held = max(row.heap_committed, used)
        moved = held - row.heap_committed + native - row.native_used
        rows.append(
            replace(
                row,
                rss=max(1, row.rss + moved),
                heap_used=used,
                heap_committed=held,
                native_used=native,
            )
        )
    return Series(series.label, tuple(rows))


def drop_samples(series: Series, share: float) -> Series:
    """A share of the samples never arrived."""
    rng = _generator(series, "missing")
    kept = tuple(row for row in series.rows if rng.random() >= share)
    return Series(series.label, kept)


def shake_clock(series: Series) -> Series:
    """Sampling intervals vary by a factor of ten, and three pauses take 3 % of the run each."""
    rng = _generator(series, "clock")
    rows = series.rows
    times = [row.time for row in rows]
    begin, span = times[0], times[-1] - times[0]
    gaps = rng.lognormal(0, 0.7, len(rows))
    moments = np.cumsum(gaps) / gaps.sum() * span
    pauses = begin + span * rng.uniform(0.05, 0.95, 3)
    shaken = []
    for moment in begin + moments:
        if any(pause <= moment < pause + 0.03 * span for pause in pauses):
            continue
        nearest = rows[min(bisect_left(times, moment), len(rows) - 1)]
        shaken.append(replace(nearest, time=float(moment)))
    return Series(series.label, tuple(shaken))


def restart(series: Series, *, pid: int = 2) -> Series | None:
    """The process is replaced in the middle and does the same again; the clock goes on.

    With the pid of the first, the replacement is unseen, as in a container's series: two rises to
    the same height, which could be teeth as well. Then silence is the thing to look at.
    """
    label = series.label
    rows = series.rows
    half = len(rows) // 2
    middle = rows[half].time
    start = label.leak_start_seconds
    if label.leak_stop_seconds is not None or (start is not None and start > 0.6 * middle):
        return None
    again = tuple(
        replace(row, time=row.time + middle - rows[0].time, pid=pid) for row in rows[:half]
    )
    return Series(label, rows[:half] + again)


def resident_only(series: Series) -> Series:
    """No split and no limit: what an outside observer sees."""
    label = series.label
    segment = "unknown" if label.is_leak else label.segment
    return Series(
        replace(label, segment=segment),
        tuple(Row(row.time, row.rss, pid=row.pid) for row in series.rows),
    )


def no_limit(series: Series) -> Series:
    """Nobody knows the limit."""
    return Series(series.label, tuple(replace(row, limit=None) for row in series.rows))


TRANSFORMS: dict[str, Transform] = {
    "time x 0.1": partial(stretch_time, factor=0.1),
    "time x 10": partial(stretch_time, factor=10),
    "time x 1000": partial(stretch_time, factor=1000),
    "level x 0.1": partial(scale_level, factor=0.1),
    "level x 10": partial(scale_level, factor=10),
    "KiB for bytes": partial(scale_level, factor=1 / 1024),
    "noise 1 %": partial(add_noise, share=0.01),
    "noise 5 %": partial(add_noise, share=0.05),
    "noise 10 %": partial(add_noise, share=0.10),
    "noise 30 %": partial(add_noise, share=0.30),
    "20 % missing": partial(drop_samples, share=0.2),
    "irregular clock": shake_clock,
    "restart": restart,
    "restart unseen": partial(restart, pid=1),
    "resident only": resident_only,
    "no limit": no_limit,
}
