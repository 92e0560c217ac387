"""Finds the weights in `_detection/risk.py`, and prints them beside those that are there.

    .venv/bin/python benchmarks/detection/calibrate.py

The detector runs over the catalogue's tuning half and over random series of other seeds than those
it is judged on. Each time it judges a segment, the rises that nothing innocent explains
(`risk.obstacle`) are noted. A coarse grid of weights is then tried on what was noted, each with the
threshold that suits it best. What counts is what a user sees, asked after every sample: F1 (a false
alarm in a quiet series, or before its leak, counts once), the catalogue weighing two fifths and
each kind of random series one; less half of what the median delay exceeds a quarter of the run. The
best is flat: the weights in use are rounded, and the threshold in use is higher than the best one,
which would find more of the short runs' leaks at the price of more false alarms. Simpler than
`scoring.py`: a leak counts as found by any alarm while it lasts, and one that is missed as late as
its whole run. Nothing of the test half is read.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import random_series
from scoring import WARM_UP_SHARE
from series import labels, load, samples

from opentelemetry.instrumentation.memory._detection import risk, segment
from opentelemetry.instrumentation.memory._detection.detector import LeakDetector

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from series import Label

    from opentelemetry.instrumentation.memory._detection.envelope import KeptFloor, Rise

    Numbers = NDArray[np.float64]

RANDOM_EACH: Final = 200
SHOWN: Final = 10
GRID: Final = {
    "concavity": (-15.0, -30.0, -45.0),
    "quiet": (0.5, 1.0, 1.5, 2.3),
    "most quiet": (1.0, 2.0, 4.0),
    "brief": (0.1, 0.2, 0.3, 0.5),
}


class Noted(NamedTuple):
    """One series: when its leak begins, and its judgements, times as shares of the run.

    `rises` has a row for each rise: (log samples, log share of the history, slowing, quiet, number
    of the judgement).
    """

    leak_from: float | None
    times: Numbers
    is_leak: NDArray[np.bool_]
    rises: Numbers


def note(label: Label) -> Noted:
    """Return every judgement over one series that found an unexplained rise."""
    seen: list[tuple[KeptFloor, list[Rise]]] = []
    judge = segment._judge  # noqa: SLF001 - the training looks over the detector's shoulder

    def watching(floor: KeptFloor, resident: float, limit: float | None) -> segment.Judgement:
        rises = [
            rise
            for rise in floor.rises(risk.RAISE.least_share_of_resident * resident / 2)
            if risk.obstacle(rise, resident, limit, risk.RAISE) is None
        ]
        if rises:
            seen.append((floor, rises))
        return judge(floor, resident, limit)

    series = load(label)
    begin, end = series.rows[0].time, series.rows[-1].time
    start, stop = label.leak_start_seconds, label.leak_stop_seconds
    times: list[float] = []
    leaks: list[bool] = []
    rows: list[tuple[float, ...]] = []
    segment._judge = watching  # type: ignore[assignment]  # noqa: SLF001
    try:
        detector = LeakDetector()
        for sample in samples(series):
            seen.clear()
            now = sample.taken_at_seconds
            detector.update(sample)
            # Fragmentation is not called a leak.
            kept = detector._watches.get("retained")  # noqa: SLF001
            live = [
                rise
                for floor, rises in seen
                if kept is None or all(floor is not each for each in kept._floors)  # noqa: SLF001
                for rise in rises
            ]
            if live:
                rows += [(*_weighed(rise), len(times)) for rise in live]
                times.append((now - begin) / (end - begin))
                leaks.append(start is not None and now > start and (stop is None or now <= stop))
    finally:
        segment._judge = judge  # noqa: SLF001
    leak_from = None if start is None else (start - begin) / (end - begin)
    return Noted(leak_from, np.array(times), np.array(leaks, bool), np.array(rows).reshape(-1, 5))


def _weighed(rise: Rise) -> tuple[float, float, float, float]:
    rising = max(rise.rising_share, risk.LEAST_RISING)
    return (
        float(np.log(rise.samples * rising / 300)),
        float(np.log(rising * rise.share_of_history)),
        max(rise.slowing, 0.0),
        (rise.quiet_before + rise.still_share) / rising,
    )


def highest(noted: Noted, weights: tuple[float, float, float, float]) -> Numbers:
    """Return the score of each judgement, that of its most suspicious rise, without intercept."""
    concavity, quiet, most_quiet, brief = weights
    rises = noted.rises
    score = risk._WEIGHTS["duration"] * (  # noqa: SLF001
        rises[:, 0] + np.minimum(0, rises[:, 1] - np.log(brief))
    )
    score += concavity * rises[:, 2] + quiet * np.log1p(np.minimum(rises[:, 3], most_quiet))
    best = np.full(len(noted.times), -np.inf)
    np.maximum.at(best, rises[:, 4].astype(int), score)
    return best


def f1_and_delay(half: list[Noted], scores: list[Numbers], threshold: float) -> tuple[float, float]:
    """Return F1, asked after every sample, and the median delay; a leak not found has delay 1."""
    false, delays = 0, []
    for noted, score in zip(half, scores, strict=True):
        alarmed = score >= threshold
        until = np.inf if noted.leak_from is None else noted.leak_from
        false += bool(np.any(alarmed & (noted.times > WARM_UP_SHARE) & (noted.times <= until)))
        if noted.leak_from is not None:
            found = noted.times[alarmed & noted.is_leak]
            delays.append(found[0] - noted.leak_from if len(found) else 1.0)
    found_count = sum(delay < 1 for delay in delays)
    return 2 * found_count / (found_count + false + len(delays)), float(np.median(delays))


def worth(
    halves: list[list[Noted]], weights: tuple[float, float, float, float], threshold: float | None
) -> tuple[float, float]:
    """Return (worth, threshold): the best threshold's, or that of the one given."""
    scores = [[highest(noted, weights) for noted in half] for half in halves]
    known = np.concatenate([each for each in scores[0] if len(each)])
    tried = np.quantile(known, np.linspace(0.2, 0.9, 15)) if threshold is None else [threshold]
    best = (-np.inf, 0.0)
    for each in tried:
        figures = [f1_and_delay(*pair, each) for pair in zip(halves, scores, strict=True)]
        f1 = 0.4 * figures[0][0] + 0.2 * sum(figure[0] for figure in figures[1:])
        late = max(float(np.mean([figure[1] for figure in figures])) - 0.25, 0.0)
        best = max(best, (f1 - 0.5 * late, float(each)))
    return best


def main() -> None:
    """Print the best weights of the grid, and how those in use compare."""
    tuning = [label for label in labels() if label.half == "tuning"]
    drawn = random_series.labels(random_series.FITTED_FROM, RANDOM_EACH)
    with ProcessPoolExecutor(2) as pool:
        noted = list(pool.map(note, [*tuning, *drawn], chunksize=8))
    kinds = [noted[: len(tuning)]]
    size = 2 * RANDOM_EACH
    kinds += [
        noted[len(tuning) + index * size : len(tuning) + (index + 1) * size]
        for index in range(len(random_series.KINDS))
    ]
    ranked = sorted(
        ((*worth(kinds, weights, None), weights) for weights in product(*GRID.values())),
        reverse=True,
    )
    print(f"{'worth':>7} {'threshold':>9}  {'  '.join(GRID)}")
    for value, threshold, weights in ranked[:SHOWN]:
        print(f"{value:7.3f} {threshold:9.2f}  {weights}")
    used = risk._WEIGHTS  # noqa: SLF001
    weights = (used["concavity"], used["quiet_before"], risk._MOST_QUIET, risk._BRIEF)  # noqa: SLF001
    confirmed = (
        risk._SCORE_AT_HALF  # noqa: SLF001
        + np.log(risk.CONFIRMED_RISK / (1 - risk.CONFIRMED_RISK)) / risk._SHARPNESS  # noqa: SLF001
        - risk._INTERCEPT  # noqa: SLF001
    )
    value, threshold = worth(kinds, weights, float(confirmed))
    print(f"{value:7.3f} {threshold:9.2f}  {weights}  in use")


if __name__ == "__main__":
    main()
