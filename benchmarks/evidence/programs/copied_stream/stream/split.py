from __future__ import annotations

import itertools

from stream.source import Measurement, measurements


class Split:
    """The same measurements for the alarm, at once, and for the archive, later."""

    def __init__(self) -> None:
        self.for_alarm, self.for_archive = itertools.tee(measurements())

    def check(self) -> bool:
        measurement: Measurement = next(self.for_alarm)  # culprit
        return max(measurement.values) > 35

    def archive(self) -> int:
        return next(self.for_archive).sensor
