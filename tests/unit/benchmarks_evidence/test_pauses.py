"""What two witnesses have felt, beside each other, and what one of them notes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from overhead import Line, lines
from pauses import Comparison, felt, table
from truths import TRUTHS

STAGE = Path(__file__).parents[3] / "benchmarks" / "evidence" / "stage"


def line(at: float, **instead: float) -> Line:
    return Line(
        at=at, live_at=0.0, delay_seconds=0.001, cpu_seconds=at, resident_bytes=7, **instead
    )


def test_worst_between_two_moments_is_what_was_felt() -> None:
    witnessed = [
        line(1.0, collection_cpu_seconds=9.0, full_collections=9),
        line(2.0, delay_by_investigation_seconds=0.02, full_collections=1),
        line(3.0, collection_cpu_seconds=0.1, full_collections=2, collections_of_investigation=5),
        line(4.0, delay_by_investigation_seconds=9.0),
    ]
    found = felt(witnessed, 1.0, 3.0)
    assert found.by_investigation_seconds == 0.02
    assert found.collection_cpu_seconds == 0.1
    assert (found.full, found.of_investigation) == (3, 5)


def test_cpu_time_is_that_of_the_time_between() -> None:
    witnessed = [
        replace(line(at), cpu_seconds=cpu_seconds)
        for at, cpu_seconds in ((0.0, 0.0), (1.0, 5.0), (3.0, 5.5), (9.0, 9.0))
    ]
    assert felt(witnessed, 1.0, 3.0).cpu_share == 0.25


def test_twin_stands_in_brackets() -> None:
    ours = felt(
        [line(0.0), line(1.0, full_collections=3, full_collections_of_investigation=1)], 0.0, 1.0
    )
    alone = felt([line(0.0), line(4.0, full_collections=2)], 0.0, 4.0)
    row = table([Comparison(TRUTHS[0], 1_000_000, 60.0, ours, alone)]).splitlines()[-1]
    assert "| 1,000,000 |" in row
    assert "| 3 (2) | 1, 0 |" in row


def test_witness_tells_whose_collections_there_were(tmp_path: Path) -> None:
    program = """
import gc, sys, threading
gc.disable()
import witness
witness.LINE_SECONDS = 1.0
witness.start(sys.argv[1])
while not any(getattr(each, "__self__", None).__class__ is witness._Collections
              for each in gc.callbacks):
    pass
def look():
    gc.collect()
    gc.collect(0)
    written.wait(30)
written = threading.Event()
thread = threading.Thread(target=look, name=witness.INVESTIGATION)
gc.collect()  # before the thread: while one collection runs another does nothing
thread.start()
while not open(sys.argv[1]).read().count("\\n"):
    written.wait(0.05)
written.set()
"""
    file = tmp_path / "witness.jsonl"
    subprocess.run(
        [sys.executable, "-c", program, file],
        check=True,
        timeout=60,
        env={"PYTHONPATH": str(STAGE)},
    )
    first = lines(file)[0]
    assert first.is_investigated
    assert (first.full_collections, first.full_collections_of_investigation) == (2, 1)
    assert first.collections_of_investigation == 2
