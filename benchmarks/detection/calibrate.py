"""Fits the weights in `_detection/risk.py` to the catalogue's tuning half, and prints them.

    .venv/bin/python benchmarks/detection/calibrate.py

The detector runs over every tuning series. Each time it judges a segment, the rises that nothing
innocent explains (`risk.obstacle`) are noted: leaking ones after their leak began, in the segment
that leaks, and healthy ones. Of each judgement the rise that the present weights like best counts,
as in the detector itself; weights and choice are improved in turn, by logistic regression. Each
series weighs the same however long it is, up to forty judgements; a false alarm weighs as much as
two missed leaks. Nothing of the test half is read.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from series import labels, load, samples

from opentelemetry.instrumentation.memory._detection import risk, segment
from opentelemetry.instrumentation.memory._detection.detector import LeakDetector

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from series import Label

    from opentelemetry.instrumentation.memory._detection.envelope import KeptFloor, Rise
    from opentelemetry.instrumentation.memory.model import MemorySample

ROUNDS = 6
FALSE_ALARM_WEIGHT = 2.0
MOST_JUDGEMENTS = 40
SEGMENTS = {
    "python": "python_heap",
    "native": "native_heap",
    "mapped": "other_anonymous",
    "unknown": "other_anonymous",
}


class Noted(NamedTuple):
    """One judgement: of which series, whether it leaks then, and its unexplained rises."""

    series: str
    is_leak: bool
    features: NDArray[np.float64]


def is_leak_at(label: Label, sample: MemorySample, name: str) -> bool | None:
    """Return whether this segment leaks at that moment; None where the label does not tell."""
    start, stop = label.leak_start_seconds, label.leak_stop_seconds
    if start is None or sample.taken_at_seconds < start:
        return False
    if (stop is not None and sample.taken_at_seconds > stop) or name != SEGMENTS[label.segment]:
        return None
    return True


def note(label: Label) -> list[Noted]:
    """Return every judgement over one series that found an unexplained rise."""
    noted: list[Noted] = []
    seen: list[tuple[KeptFloor, list[Rise]]] = []
    judge = segment._judge  # noqa: SLF001 - the training looks over the detector's shoulder

    def watching(floor: KeptFloor, resident: float, limit: float | None) -> segment.Judgement:
        rises = [
            rise
            for rise in floor.rises()
            if risk.obstacle(rise, resident, limit, risk.RAISE) is None
        ]
        if rises:
            seen.append((floor, rises))
        return judge(floor, resident, limit)

    segment._judge = watching  # type: ignore[assignment]  # noqa: SLF001
    try:
        detector = LeakDetector()
        for sample in samples(load(label)):
            seen.clear()
            detector.update(sample)
            for floor, rises in seen:
                name = next(
                    name
                    for name, watch in detector._watches.items()  # noqa: SLF001
                    if any(floor is each for each in watch._floors)  # noqa: SLF001
                )
                is_leak = None if name == "retained" else is_leak_at(label, sample, name)
                if is_leak is not None:
                    values = [list(risk.features(rise).values()) for rise in rises]
                    noted.append(Noted(label.name, is_leak, np.array(values)))
    finally:
        segment._judge = judge  # noqa: SLF001
    return noted


def regress(
    features: NDArray[np.float64], is_leak: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return (weights, intercept) of a logistic regression, by Newton's method."""
    mean, spread = features.mean(0), features.std(0) + 1e-9
    design = np.c_[np.ones(len(features)), (features - mean) / spread]
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        probability = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (weight * (is_leak - probability))
        curvature = (design * (weight * probability * (1 - probability))[:, None]).T @ design
        beta += np.linalg.solve(curvature + 1e-6 * np.eye(len(beta)), gradient)
    weights = beta[1:] / spread
    return weights, float(beta[0] - weights @ mean)


def fit(noted: list[Noted]) -> tuple[NDArray[np.float64], float]:
    """Return (weights, intercept) that tell leaking from healthy judgements best."""
    counts = Counter((each.series, each.is_leak) for each in noted)
    weight = np.array(
        [
            (1.0 if each.is_leak else FALSE_ALARM_WEIGHT)
            * min(counts[each.series, each.is_leak], MOST_JUDGEMENTS)
            / counts[each.series, each.is_leak]
            for each in noted
        ]
    )
    is_leak = np.array([float(each.is_leak) for each in noted])
    weights, intercept = np.eye(noted[0].features.shape[1])[0], 0.0
    for _ in range(ROUNDS):
        liked = np.array([each.features[np.argmax(each.features @ weights)] for each in noted])
        weights, intercept = regress(liked, is_leak, weight)
    return weights, intercept


def main() -> None:
    """Print the weights as they stand in `_detection/risk.py`."""
    noted = [each for label in labels() if label.half == "tuning" for each in note(label)]
    weights, intercept = fit(noted)
    print(f"# {len(noted)} judgements of {len({each.series for each in noted})} series")
    print("_WEIGHTS: Final = {")
    for name, value in zip(risk._WEIGHTS, weights, strict=True):  # noqa: SLF001
        print(f'    "{name}": {value:.2f},')
    print(f"}}\n_INTERCEPT: Final = {intercept:.2f}")


if __name__ == "__main__":
    main()
