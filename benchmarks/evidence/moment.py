"""How far counts are from the bytes that they explain: taken before a sample is read, or after.

Ten threads that never rest want the GIL meanwhile. To read malloc's figures gives it away.
"""

from __future__ import annotations

import statistics
import threading
import time

from opentelemetry.instrumentation.memory._probes import platform_probes
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
from opentelemetry.instrumentation.memory.config import MemoryConfig

_THREADS = 10
_SECONDS = 20.0


class Noting:
    """A probe that notes when it is asked."""

    def __init__(self, probe: object) -> None:
        self._probe = probe
        self.asked_at: list[float] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._probe, name)

    def read(self) -> object:
        """Ask the probe."""
        self.asked_at.append(time.monotonic())
        return self._probe.read()  # type: ignore[attr-defined]


def main() -> None:
    """Measure and print a Markdown table."""
    sampler = Sampler(MemoryConfig(), platform_probes(), SystemClock())
    sampler.risk = 1.0
    native = Noting(sampler._native._probe)  # noqa: SLF001 - nobody else may stand between
    sampler._native._probe = native  # type: ignore[assignment]  # noqa: SLF001
    marked_at: list[float] = []

    def note() -> None:
        marked_at.append(time.monotonic())

    sampler.before_reading = note
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            sum(range(2_000))

    for _ in range(_THREADS):
        threading.Thread(target=work, daemon=True).start()
    before, after = [], []
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        asked = len(native.asked_at)
        sampler.take()
        done_at = time.monotonic()
        if len(native.asked_at) > asked:
            before.append(1e3 * (native.asked_at[-1] - marked_at[-1]))
            after.append(1e3 * (done_at - native.asked_at[-1]))
        time.sleep(0.1)
    is_over.set()
    print("| counts taken | median | worst, of each sample |\n| --- | ---: | ---: |")
    for name, values in (("before the sample is read", before), ("after it", after)):
        print(f"| {name} | {statistics.median(values):.2f} ms | {max(values):.1f} ms |")


if __name__ == "__main__":
    main()
