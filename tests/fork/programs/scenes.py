"""Unusual forks, one a run; prints that all is well, or fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from opentelemetry.instrumentation.memory import MemoryInstrumentor
from opentelemetry.instrumentation.memory._sampling.thread import THREAD_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 30

reader = InMemoryMetricReader()
provider = MeterProvider([reader])
instrumentor = MemoryInstrumentor()


def usage() -> float | None:
    found = reader.get_metrics_data()
    metrics = found.resource_metrics[0].scope_metrics[0].metrics if found else []
    for each in metrics:
        if each.name == "process.memory.usage" and each.data.data_points:
            return float(each.data.data_points[0].value)
    return None


def threads() -> int:
    return [each.name for each in threading.enumerate()].count(THREAD_NAME)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def is_close_to_truth() -> bool:
    # A child maps its program's files anew as it touches them, and the kernel may take pages back:
    # the truth moves meanwhile.
    before = resident_bytes()
    reported = usage()
    low, high = sorted((before, resident_bytes()))
    return reported is not None and 0.97 * low < reported < 1.03 * high


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def in_child(check: Callable[[], object]) -> None:
    """Fork, run a check in the child, and fail unless it holds there."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE_SECONDS)
        try:
            is_well = bool(check())
        except BaseException:  # noqa: BLE001 - the parent's code must not go on in the child
            sys.excepthook(*sys.exc_info())
            is_well = False
        os._exit(0 if is_well else 1)
    assert os.waitpid(pid, 0)[1] == 0


def uninstrument_in_child() -> None:
    def check() -> bool:
        had_thread = threads() == 1
        instrumentor.uninstrument()
        return had_thread and threads() == 0 and usage() is None

    in_child(check)
    assert is_close_to_truth()
    assert threads() == 1


def instrument_again_in_child() -> None:
    instrumentor.uninstrument()

    def check() -> bool:
        was_silent = threads() == 0 and usage() is None
        instrumentor.instrument(meter_provider=provider)
        return was_silent and threads() == 1 and is_close_to_truth()

    in_child(check)
    assert usage() is None


def fork_inside_a_callback() -> None:
    statuses = []

    def fork(_: object) -> list[Observation]:
        pid = os.fork()
        if pid == 0:
            signal.alarm(PATIENCE_SECONDS)
            statuses.append("child")
        else:
            statuses.append(os.waitpid(pid, 0)[1])
        return [Observation(1)]

    provider.get_meter("application").create_observable_gauge("forks", callbacks=[fork])
    reader.collect()
    if statuses == ["child"]:
        # The collection that began in the parent has come to its end here.
        os._exit(0 if instrumentor.latest_sample().pid == os.getpid() else 1)  # type: ignore[union-attr]
    assert statuses == [0]


def exec_after_fork() -> None:
    pid = os.fork()
    if pid == 0:
        os.execv("/bin/true", ["true"])  # noqa: S606 - what is tested
    assert os.waitpid(pid, 0)[1] == 0
    assert is_close_to_truth()


def subprocess_with_preexec() -> None:
    for _ in range(20):
        subprocess.run(["/bin/true"], check=True, preexec_fn=os.setsid, timeout=PATIENCE_SECONDS)
    assert is_close_to_truth()


def daemon_without_descriptors() -> None:
    def check() -> bool:
        os.setsid()
        os.closerange(3, 4096)
        taken = os.open(os.devnull, os.O_RDONLY)
        was_close = is_close_to_truth()
        os.fstat(taken)  # what took over a closed number is not closed again
        pid = os.fork()
        if pid == 0:
            os._exit(0 if is_close_to_truth() and threads() == 1 else 1)
        return was_close and os.waitpid(pid, 0)[1] == 0

    in_child(check)


def chain_of_forks() -> None:
    """Each generation forks the next; none may keep the descriptors of those before."""
    before = descriptors()

    def generation(left: int) -> bool:
        is_well = is_close_to_truth() and descriptors() <= before
        if left and is_well:
            in_child(lambda: generation(left - 1))
        return is_well

    assert is_close_to_truth()
    before = descriptors()
    assert generation(20)


def thread_cannot_start_in_child() -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == THREAD_NAME:
            raise RuntimeError("can't start new thread")
        start(thread)

    threading.Thread.start = refuse  # type: ignore[method-assign]
    in_child(lambda: threads() == 0 and is_close_to_truth() and is_close_to_truth())


if __name__ == "__main__":
    instrumentor.instrument(meter_provider=provider)
    globals()[sys.argv[1]]()
    print(json.dumps({"ok": True}))  # noqa: T201 - the answer
