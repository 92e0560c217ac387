"""The shapes memory takes over time, as arrays in MiB; every random one gets its generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DAY = 86_400.0


def wander(rng: Generator, n: int, sigma: float, tau: float) -> Array:
    """Return a bounded random walk (Ornstein-Uhlenbeck) with correlation time `tau` samples."""
    keep = np.exp(-1 / tau)
    kick = rng.normal(0, sigma * np.sqrt(1 - keep * keep), n)
    out = np.empty(n)
    out[0] = level = rng.normal(0, sigma)
    for i in range(1, n):
        level = keep * level + kick[i]
        out[i] = level
    return out


def jitter(rng: Generator, n: int, sigma: float) -> Array:
    """Return heavy-tailed white noise (Student's t with three degrees of freedom)."""
    return np.clip(rng.standard_t(3, n) * sigma / np.sqrt(3), -8 * sigma, 8 * sigma)


def sawtooth(n: int, teeth: float, height: float, phase: float = 0.0) -> Array:
    """Return regular teeth: garbage that grows until a collection takes all of it."""
    return height * ((np.arange(n) * teeth / n + phase) % 1.0)


def ragged_sawtooth(rng: Generator, n: int, teeth: float, height: float) -> Array:
    """Return teeth whose rate and threshold change from one to the next."""
    out = np.empty(n)
    level, top, mean_rise = 0.0, height, height * teeth / n
    for i in range(n):
        level += rng.uniform(0.4, 1.6) * mean_rise
        if level > top:
            level, top = rng.uniform(0, 0.06) * height, height * rng.uniform(0.6, 1.3)
        out[i] = level
    return out


def two_level_sawtooth(n: int, teeth: int, minors: int, height: float) -> Array:
    """Return minor collections that free most of the garbage, and major ones that free the rest."""
    phase = np.arange(n) * teeth / n % 1.0
    return height * (0.6 * phase + 0.4 * (phase * minors % 1.0))


def saturating(n: int, tau: float, height: float) -> Array:
    """Return an exponential approach to a plateau; `tau` as a share of the run."""
    return height * (1 - np.exp(-np.arange(n) / (tau * n)))


def filling(n: int, full_at: float, height: float) -> Array:
    """Return a bounded buffer that fills in a straight line, then turns over."""
    return height * np.minimum(np.arange(n) / (full_at * n), 1.0)


def zipf_cache(rng: Generator, n: int, draws: int, bound: int, exponent: float) -> Array:
    """Return the share of a bounded cache that Zipf-distributed keys have filled."""
    keys = 4 * bound
    weights = 1 / np.arange(1, keys + 1) ** exponent
    drawn = rng.choice(keys, size=n * draws, p=weights / weights.sum())
    first = np.zeros(n * draws)
    first[np.unique(drawn, return_index=True)[1]] = 1
    return np.minimum(np.cumsum(first)[draws - 1 :: draws], bound) / bound


def vocabulary(n: int, knee: float, height: float) -> Array:
    """Return logarithmic growth that reaches `height` at the end; `knee` as a share of the run."""
    return height * np.log1p(np.arange(n) / (knee * n)) / np.log1p(1 / knee)


def hyperbolic(n: int, half_at: float, height: float) -> Array:
    """Return a slow approach, n / (n + k), to a plateau; half of it at `half_at` of the run."""
    x = np.arange(n) / (half_at * n)
    return height * x / (1 + x)


def levels(n: int, marks: Sequence[tuple[float, float]]) -> Array:
    """Return a level that jumps: (share of the run, new level) pairs in order."""
    out = np.zeros(n)
    for share, level in marks:
        out[int(share * n) :] = level
    return out


def ramps(n: int, marks: Sequence[tuple[float, float]]) -> Array:
    """Return straight lines between (share of the run, level) pairs."""
    return np.interp(np.arange(n) / n, [share for share, _ in marks], [level for _, level in marks])


def smooth_rise(n: int, begin: float, end: float, height: float) -> Array:
    """Return an S-shaped ramp to a new plateau between two shares of the run."""
    x = np.clip((np.arange(n) / n - begin) / (end - begin), 0, 1)
    return height * x * x * (3 - 2 * x)


def sine_day(time: Array, height: float, first_hour: float) -> Array:
    """Return a sinusoidal day from 0 to `height`, lowest at 03:00."""
    hour = (time / 3600 + first_hour) % 24
    return height * 0.5 * (1 - np.cos(2 * np.pi * (hour - 3) / 24))


def business_hours(time: Array, height: float, first_hour: float, weekend: float = 1.0) -> Array:
    """Return a working day: steep morning, lunch dip, slow evening; weekends at a share of it."""
    hours = time / 3600 + first_hour
    hour = hours % 24
    day = np.interp(
        hour,
        [0, 6, 9, 11, 12.5, 14, 17, 22, 24],
        [0.05, 0.0, 0.75, 1.0, 0.8, 0.95, 0.9, 0.2, 0.05],
    )
    is_weekend = (hours // 24 % 7) >= 5
    return height * day * np.where(is_weekend, weekend, 1.0)


def batches(rng: Generator, n: int, every: float, width: float, height: float) -> Array:
    """Return jobs that come every so often, last a while and give everything back."""
    out = np.zeros(n)
    begin = every * rng.uniform(0.1, 0.9)
    while begin < n:
        stop = int(begin + max(1, width * rng.uniform(0.6, 1.5)))
        out[int(begin) : stop] += height * rng.uniform(0.6, 1.3)
        begin += every * rng.uniform(0.9, 1.1)
    return out


def heavy_spikes(rng: Generator, n: int, rate: float, height: float, cap: float) -> Array:
    """Return single tall samples with Pareto heights, at most `cap`."""
    hit = rng.random(n) < rate
    return np.where(hit, np.minimum(height * (rng.pareto(1.5, n) + 1), cap), 0.0)


def decaying_shots(rng: Generator, n: int, rate: float, height: float, tau: float) -> Array:
    """Return bursts that fade exponentially, `tau` in samples."""
    out = np.zeros(n)
    level, keep = 0.0, np.exp(-1 / tau)
    for i in range(n):
        level *= keep
        if rng.random() < rate:
            level += height * rng.exponential(1.0)
        out[i] = level
    return out


def sessions(rng: Generator, n: int, mean: float, stay: float) -> Array:
    """Return how many sessions are open: Poisson arrivals, each leaves after about `stay`."""
    out = np.empty(n)
    count = rng.poisson(mean)
    for i in range(n):
        count += rng.poisson(mean / stay) - rng.binomial(count, 1 - np.exp(-1 / stay))
        out[i] = count
    return out / mean


def line(n: int, begin: float, total: float, stop: float = 1.0) -> Array:
    """Return a straight loss that begins and stops at shares of the run; `total` at its end."""
    x = np.arange(n) / n
    return total * (np.clip(x, begin, stop) - begin) / (stop - begin)


def staircase(n: int, begin: float, steps: int, total: float) -> Array:
    """Return a loss in equal steps, the first one at `begin`."""
    x = (np.arange(n) / n - begin) / (1 - begin)
    return total * np.clip(np.floor(x * steps) + 1, 0, steps) / steps * (x >= 0)


def random_staircase(rng: Generator, n: int, begin: float, steps: int, total: float) -> Array:
    """Return a loss in steps of random height at random moments, the first one at `begin`."""
    at = np.concatenate([[begin], begin + (1 - begin) * np.sort(rng.random(steps - 1))])
    out = np.zeros(n)
    for share, height in zip(at, rng.gamma(2.0, 0.5, steps), strict=True):
        out[int(np.ceil(share * n)) :] += height
    return total * out / out[-1]


def power(n: int, begin: float, total: float, exponent: float) -> Array:
    """Return a loss that accelerates as a power of the time since it began."""
    return total * line(n, begin, 1.0) ** exponent


def under_load(loss: Array, load: Array) -> Array:
    """Return the loss with its pace made proportional to the load, and the same total."""
    pace = np.diff(loss, prepend=loss[0]) * load
    out = np.cumsum(pace)
    return out * (loss[-1] / out[-1])
