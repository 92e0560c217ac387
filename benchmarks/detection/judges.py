"""One face for the detector and its rivals: a series goes in, opinions come out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rivals import RIVALS
from scoring import NO_SEGMENTS, Opinion, Outcome, Truth, judge_run
from series import load, samples
from transforms import TRANSFORMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from series import Label, Series

    from opentelemetry.instrumentation.memory.model import MemorySample

DETECTOR = "this package"
DETECTOR_MODULE = "opentelemetry.instrumentation.memory._detection.detector"


class DetectorUnavailableError(Exception):
    """The package has no leak detector that can be imported."""


def new_detector() -> Callable[[MemorySample], Opinion]:
    """Return a fresh detector as a function of a sample."""
    try:
        detector = import_module(DETECTOR_MODULE).LeakDetector()
    except (ImportError, AttributeError) as error:
        raise DetectorUnavailableError(str(error)) from error
    return _opinions_of(detector)


def _opinions_of(detector: Any) -> Callable[[MemorySample], Opinion]:
    def update(sample: MemorySample) -> Opinion:
        verdict = detector.update(sample)
        return Opinion(verdict.state == "confirmed", verdict.risk, verdict.segment)

    return update


def new_judge(name: str) -> Callable[[MemorySample], Opinion]:
    """Return a fresh judge by its name in the table."""
    if name == DETECTOR:
        return new_detector()
    rival = RIVALS[name]()

    def update(sample: MemorySample) -> Opinion:
        is_alarm = rival.update(sample)
        return Opinion(is_alarm, 1.0 if is_alarm else 0.0, NO_SEGMENTS)

    return update


def opinions(judge: str, series: Series) -> list[tuple[float, Opinion]]:
    """Return what the judge thought after each sample."""
    update = new_judge(judge)
    return [(sample.taken_at_seconds, update(sample)) for sample in samples(series)]


def truth(series: Series) -> Truth:
    """Return what is so about a series."""
    label = series.label
    return Truth(
        begin=series.rows[0].time,
        end=series.rows[-1].time,
        leak_start=label.leak_start_seconds,
        leak_stop=label.leak_stop_seconds,
        segment=label.segment,
    )


def run(job: tuple[str, str | None, Label]) -> tuple[str, str | None, str, Outcome | None]:
    """Return (judge, transform, series name, outcome); the outcome is None where there is none."""
    judge, transform, label = job
    series: Series | None = load(label)
    if transform is not None and series is not None:
        series = TRANSFORMS[transform](series)
    if series is None:
        return judge, transform, label.name, None
    return judge, transform, label.name, judge_run(truth(series), opinions(judge, series))
