"""Small seeded series of each shape that a process's memory takes, in MiB a sample."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from tests.fakes import MIB

from opentelemetry.instrumentation.memory.model import MemorySample, Partition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Series = list[float]
    Shape = Callable[[random.Random], Series]

N: Final = 1200
DAY: Final = 288  # samples at five minutes


def seeded(seed: int) -> random.Random:
    """Return the generator that a shape draws from."""
    return random.Random(seed)  # noqa: S311 - reproducible, not secret


def noise(rng: random.Random, n: int, deviation: float, memory: float = 8.0) -> Series:
    """Return a walk that is pulled back to zero (Ornstein-Uhlenbeck)."""
    keep = math.exp(-1 / memory)
    fresh = deviation * math.sqrt(1 - keep * keep)
    drawn = (rng.gauss(0, fresh) for _ in range(n))
    return list(accumulate(drawn, lambda last, new: keep * last + new))


def add(*parts: Sequence[float]) -> Series:
    return [sum(values) for values in zip(*parts, strict=True)]


def flat(level: float, n: int = N) -> Series:
    return [level] * n


def line(slope: float, start: int = 0, stop: int | None = None, n: int = N) -> Series:
    last = n if stop is None else stop
    return [slope * (min(max(i, start), last) - start) for i in range(n)]


# Quiet: none of these may end confirmed.


def steady(rng: random.Random) -> Series:
    return add(flat(40), noise(rng, N, 0.4))


def idle(_: random.Random) -> Series:
    return flat(22)


def sawtooth(rng: random.Random) -> Series:
    values, level, top = [], 0.0, 30.0
    for _ in range(N):
        level += rng.uniform(0.2, 0.9)
        if level > top:
            level, top = 0.0, rng.uniform(15, 45)
        values.append(30 + level)
    return values


def slow_sawtooth(rng: random.Random) -> Series:
    values, level = [], 0.0
    for _ in range(N):
        level = 0.0 if level > 40 else level + rng.uniform(0.05, 0.2)
        values.append(35 + level)
    return values


def periodic_batch(rng: random.Random) -> Series:
    batch = [0.0] * N
    for start in range(40, N, 110):
        length, height = rng.randint(8, 30), rng.uniform(40, 120)
        for i in range(start, min(start + length, N)):
            batch[i] = height
    return add(flat(30), batch, noise(rng, N, 0.4))


def daily_load(rng: random.Random) -> Series:
    n = 5 * DAY
    wave = [15 * math.sin(2 * math.pi * i / DAY) for i in range(n)]
    return add(flat(45, n), wave, noise(rng, n, 1.0, 30))


def daily_load_with_flat_nights(rng: random.Random) -> Series:
    n = 5 * DAY
    wave = [22 * max(math.sin(2 * math.pi * i / DAY), 0.0) ** 0.7 for i in range(n)]
    return add(flat(40, n), wave, noise(rng, n, 1.2, 20))


def weekly_load(rng: random.Random) -> Series:
    n = 21 * DAY
    wave = [
        20 * max(math.sin(2 * math.pi * i / DAY), 0.0) * (0.3 if i // DAY % 7 >= 5 else 1.0)
        for i in range(n)
    ]
    return add(flat(40, n), wave, noise(rng, n, 1.0, 20))


def filling_cache(rng: random.Random) -> Series:
    rise = [60 * (1 - math.exp(-i / 220)) for i in range(N)]
    return add(flat(20), rise, noise(rng, N, 0.5))


def bounded_buffer(rng: random.Random) -> Series:
    return add(flat(20), line(0.2, 0, 260), noise(rng, N, 0.4))


def converging_vocabulary(rng: random.Random) -> Series:
    return add(flat(25), [6 * math.log1p(i / 25) for i in range(N)], noise(rng, N, 0.3))


def imports_and_interning(rng: random.Random) -> Series:
    steps = [0.0] * N
    for _ in range(25):
        begin, height = min(int(rng.expovariate(1 / 60)), N), rng.uniform(0.5, 4)
        for i in range(begin, N):
            steps[i] += height
    return add(flat(12), steps, noise(rng, N, 0.2))


def one_step(rng: random.Random) -> Series:
    return add(flat(25), [0.0 if i < 500 else 130.0 for i in range(N)], noise(rng, N, 0.3))


def steps_with_load(rng: random.Random) -> Series:
    workers = [1 if i < 300 else 2 if i < 650 else 3 if i < 1000 else 2 for i in range(N)]
    return add(flat(12), [18.0 * count for count in workers], noise(rng, N, 0.6, 15))


def ramp_that_comes_down(rng: random.Random) -> Series:
    rise = [40 * max(min((i - 200) / 360, 1 - (i - 560) / 340), 0.0) for i in range(N)]
    return add(flat(25), rise, noise(rng, N, 0.6))


def churn(rng: random.Random) -> Series:
    return [min(max(60 + value, 30.0), 95.0) for value in noise(rng, N, 9.0, 90)]


# Leaks: each must end confirmed.


def linear(rng: random.Random) -> Series:
    return add(flat(40), line(0.05, 120), noise(rng, N, 0.4))


def linear_from_the_start(rng: random.Random) -> Series:
    return add(flat(40), line(0.05), noise(rng, N, 0.4))


def stepwise(rng: random.Random) -> Series:
    steps = [4.0 * (max(i - 200, 0) // 90) for i in range(N)]
    return add(flat(35), steps, noise(rng, N, 0.4))


def accelerating(rng: random.Random) -> Series:
    rise = [60 * (max(i - 300, 0) / 900) ** 2 for i in range(N)]
    return add(flat(40), rise, noise(rng, N, 0.4))


def slow_under_noise(rng: random.Random) -> Series:
    return add(flat(45), line(0.03, 300), noise(rng, N, 3.5, 5))


def slow_under_daily_load(rng: random.Random) -> Series:
    n = 8 * DAY
    wave = [15 * math.sin(2 * math.pi * i / DAY) for i in range(n)]
    return add(flat(45, n), wave, line(0.04, DAY, n=n), noise(rng, n, 1.0, 30))


def late_start(rng: random.Random) -> Series:
    return add(flat(50), line(0.08, 800), noise(rng, N, 1.2, 25))


def sawtooth_whose_floor_rises(rng: random.Random) -> Series:
    return add([0.6 * value for value in sawtooth(rng)], line(0.025, 150))


def after_a_long_warm_up(rng: random.Random) -> Series:
    n = 2 * N
    rise = [50 * (1 - math.exp(-i / 150)) for i in range(n)]
    return add(flat(20, n), rise, line(0.06, N, n=n), noise(rng, n, 0.4))


def maps_now_and_then(rng: random.Random) -> Series:
    values, level, due = [], 15.0, 250
    for i in range(N):
        if i == due:
            level += rng.randint(1, 3)
            due += rng.randint(30, 80)
        values.append(level)
    return values


def growing_in_each_thread(rng: random.Random) -> Series:
    """Eight threads that each keep a little, at their own pace and in their own bursts."""
    threads = [[0.0] * N for _ in range(8)]
    for kept in threads:
        every = rng.randint(10, 40)
        for i in range(N):
            kept[i] = 0.2 * (max(i - 150, 0) // every)
    return add(flat(30), *threads, noise(rng, N, 0.4))


# Leaks that end.


def leak_that_stops(rng: random.Random) -> Series:
    return add(flat(40), line(0.06, 200, 700), noise(rng, N, 0.5))


def leak_that_is_given_back(rng: random.Random) -> Series:
    rise = [0.06 * (i - 200) if 200 <= i < 900 else 0.0 for i in range(N)]
    return add(flat(40), rise, noise(rng, N, 0.4))


@dataclass(frozen=True)
class Process:
    """What surrounds the series: where it shows, how often it is looked at, the limit."""

    segment: str = "python_heap"
    interval_seconds: float = 1.0
    limit_mib: float | None = 512.0
    other_mib: float = 20.0

    def samples(self, values: Sequence[float], seed: int = 0) -> list[MemorySample]:
        """Return the samples of a process whose one segment takes these values."""
        rng = seeded(seed + 1000)
        n = len(values)
        parts = {
            name: add(flat(self.other_mib, n), noise(rng, n, 0.05))
            for name in ("python_heap", "native_heap", "other_anonymous", "retained")
        }
        parts[self.segment] = list(values)
        return [
            sample(
                i * self.interval_seconds,
                limit_mib=self.limit_mib,
                **{name: part[i] for name, part in parts.items()},
            )
            for i in range(n)
        ]


def sample(  # noqa: PLR0913 - one argument a segment
    seconds: float,
    *,
    python_heap: float = 20.0,
    native_heap: float = 20.0,
    other_anonymous: float = 20.0,
    retained: float = 20.0,
    limit_mib: float | None = 512.0,
) -> MemorySample:
    """Return one sample of a process with these segments, in MiB."""
    values = (python_heap, native_heap, retained, other_anonymous, 9.0, 1.0)
    parts = [round(value * MIB) for value in values]
    return MemorySample(
        taken_at_seconds=seconds,
        pid=1,
        resident_bytes=sum(parts),
        partition=Partition(*parts),
        heap_used_bytes=parts[0],
        limit_bytes=None if limit_mib is None else round(limit_mib * MIB),
    )


QUIET: Final[tuple[Shape, ...]] = (
    steady,
    idle,
    sawtooth,
    slow_sawtooth,
    periodic_batch,
    daily_load,
    daily_load_with_flat_nights,
    weekly_load,
    filling_cache,
    bounded_buffer,
    converging_vocabulary,
    imports_and_interning,
    one_step,
    steps_with_load,
    ramp_that_comes_down,
    churn,
)

# Each with the sample at which it begins.
LEAKS: Final[dict[Shape, int]] = {
    linear: 120,
    linear_from_the_start: 0,
    stepwise: 200,
    accelerating: 300,
    slow_under_noise: 300,
    slow_under_daily_load: DAY,
    late_start: 800,
    sawtooth_whose_floor_rises: 150,
    after_a_long_warm_up: N,
    growing_in_each_thread: 150,
}
