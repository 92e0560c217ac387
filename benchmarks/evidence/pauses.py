"""Measure for how long an investigation makes a program stand still, beside a twin without one.

    python benchmarks/evidence/pauses.py                          the usual programs, into PAUSES.md
    python benchmarks/evidence/pauses.py --only sessions_dict     one, to the terminal
    python benchmarks/evidence/pauses.py --objects 1000000        with a larger heap

Each program runs twice at the same time: with the defaults, and with the evidence switched off. The
twin leaks at the same pace, so its heap is as large at every moment. Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final

from overhead import Line, lines
from sitting import STAGE, environment, newest_snapshot
from truths import TRUTHS

sys.path.append(str(Path(__file__).parents[1]))
from environment import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from truths import Truth

PAUSES: Final = Path(__file__).with_name("PAUSES.md")
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"
# Those that leave most objects to the garbage collector, one that leaves none, one without it.
USUAL: Final = (
    "sessions_dict",
    "closures",
    "tracebacks",
    "identity_map",
    "bytes_cache",
    "cycles_without_gc",
)
OBJECTS: Final = (0, 1_000_000)
LONGEST_SECONDS: Final = 420.0
_BIN: Final = Path(sys.executable).parent
# As in the exam: a verdict after half a minute. What an investigation does has its defaults.
_FLAGS: Final = (
    *("--memory_min_interval_seconds", "0.1"),
    *("--memory_max_interval_seconds", "0.1"),
    *("--memory_budget_percent", "5"),
)


@dataclass(frozen=True)
class Felt:
    """What one of the two felt while the other, or it, was investigated.

    Attributes:
        heartbeat_seconds: The latest heartbeat.
        beside_seconds: The latest, without the collections that it had to wait for.
        by_investigation_seconds: The longest time for which the investigation's thread ran while a
            heartbeat was late, with collections that it set off.
        collection_cpu_seconds: CPU time of the longest collection.
        full: Full collections.
        full_of_investigation: Those that an allocation of the investigation has set off.
        of_investigation: Collections of any generation that it has set off.
        resident_bytes: At the end.
        cpu_share: CPU time of the whole process, as a share of wall time.
    """

    heartbeat_seconds: float
    beside_seconds: float
    by_investigation_seconds: float
    collection_cpu_seconds: float
    full: int
    full_of_investigation: int
    of_investigation: int
    resident_bytes: int
    cpu_share: float


@dataclass(frozen=True)
class Comparison:
    """One program, investigated and left alone."""

    truth: Truth
    objects: int
    seconds: float
    investigated: Felt
    alone: Felt


def compare(truth: Truth, objects: int) -> Comparison:
    """Run a program and its twin until there is a snapshot of the one.

    Raises:
        RuntimeError: There was none.
    """
    with tempfile.TemporaryDirectory(prefix=f"{truth.program}-") as name, ExitStack() as running:
        folders = [Path(name) / each for each in ("investigated", "alone")]
        for folder, evidence in zip(folders, ("true", "false"), strict=True):
            folder.mkdir()
            running.enter_context(_running(truth, folder, objects, evidence))
        began_at, ended_at = _await_answer(truth, folders[0])
        return Comparison(
            truth,
            objects,
            ended_at - began_at,
            *(felt(lines(each / "witness.jsonl"), began_at, ended_at) for each in folders),
        )


def felt(witnessed: Sequence[Line], began_at: float, ended_at: float) -> Felt:
    """Return what a witness has felt between two moments."""
    before = [line for line in witnessed if line.at <= began_at][-1]
    within = [line for line in witnessed if began_at < line.at <= ended_at]
    return Felt(
        heartbeat_seconds=max(line.delay_seconds for line in within),
        beside_seconds=max(line.delay_beside_collections_seconds for line in within),
        by_investigation_seconds=max(line.delay_by_investigation_seconds for line in within),
        collection_cpu_seconds=max(line.collection_cpu_seconds for line in within),
        full=sum(line.full_collections for line in within),
        full_of_investigation=sum(line.full_collections_of_investigation for line in within),
        of_investigation=sum(line.collections_of_investigation for line in within),
        resident_bytes=within[-1].resident_bytes,
        cpu_share=(within[-1].cpu_seconds - before.cpu_seconds) / (within[-1].at - before.at),
    )


@contextmanager
def _running(truth: Truth, folder: Path, objects: int, evidence: str) -> Iterator[None]:
    command = [_BIN / "opentelemetry-instrument", *_FLAGS, _BIN / "python", STAGE / "host.py"]
    command += [truth.package, folder / "witness.jsonl", objects]
    settings = {
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_PYTHON_MEMORY_EVIDENCE": evidence,
    }
    with (folder / "output.log").open("wb") as output:
        program = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={**environment(truth, folder, ""), **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()


def _await_answer(truth: Truth, folder: Path) -> tuple[float, float]:
    """Return when the investigation began and when there was a snapshot: routes may come later."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.5)
        if newest_snapshot(folder / "snapshots", truth.snapshot_reason) is not None:
            witnessed = lines(folder / "witness.jsonl")
            first = next(line.at for line in witnessed if line.is_investigated)
            return max(line.at for line in witnessed if line.at < first), witnessed[-1].at
    output = (folder / "output.log").read_text(encoding="utf-8")[-500:]
    raise RuntimeError(f"no snapshot within {LONGEST_SECONDS:.0f} s: {output}")


_COLUMNS: Final = (
    "program",
    "objects besides",
    "late by the investigation",
    "latest heartbeat (alone)",
    "without collections (alone)",
    "CPU of the longest collection (alone)",
    "full collections (alone)",
    "set off by the investigation: full, all",
    "resident at the end (alone)",
    "CPU of the process, of wall time (alone)",
)


def table(comparisons: Sequence[Comparison]) -> str:
    """Return a Markdown table with a row for each comparison."""
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *map(_row, comparisons)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(each: Comparison) -> tuple[str, ...]:
    ours, alone = each.investigated, each.alone
    return (
        f"`{each.truth.program}`, {each.seconds:.0f} s",
        f"{each.objects:,}",
        f"{ours.by_investigation_seconds * 1e3:.1f} ms",
        f"{ours.heartbeat_seconds * 1e3:.1f} ms ({alone.heartbeat_seconds * 1e3:.1f})",
        f"{ours.beside_seconds * 1e3:.1f} ms ({alone.beside_seconds * 1e3:.1f})",
        f"{ours.collection_cpu_seconds * 1e3:.1f} ms ({alone.collection_cpu_seconds * 1e3:.1f})",
        f"{ours.full} ({alone.full})",
        f"{ours.full_of_investigation}, {ours.of_investigation}",
        f"{ours.resident_bytes / 2**20:.0f} MiB ({alone.resident_bytes / 2**20:.0f})",
        f"{ours.cpu_share:.1%} ({alone.cpu_share:.1%})",
    )


def summary(comparisons: Sequence[Comparison]) -> str:
    """Return a Markdown list of the worst of all programs."""
    sides = ([each.investigated for each in comparisons], [each.alone for each in comparisons])
    full, full_alone = (sum(each.full for each in side) for side in sides)
    set_off = sum(each.full_of_investigation for each in sides[0])
    more_cpu = fmean(each.investigated.cpu_share - each.alone.cpu_share for each in comparisons)
    by_investigation = max(each.by_investigation_seconds for each in sides[0]) * 1e3
    points = (
        f"late by the investigation: {by_investigation:.1f} ms at most",
        _worst("latest heartbeat", sides, lambda each: each.heartbeat_seconds),
        _worst("the same without collections", sides, lambda each: each.beside_seconds),
        _worst("CPU of the longest collection", sides, lambda each: each.collection_cpu_seconds),
        f"CPU of the process beyond the twin's: {more_cpu:.1%} of wall time on average",
        f"full collections: {full} (alone {full_alone}), {set_off} set off by the investigation",
    )
    return "\n".join(f"- {point}" for point in points)


def _worst(name: str, sides: Sequence[Sequence[Felt]], read: Callable[[Felt], float]) -> str:
    ours, alone = (max(map(read, side)) * 1e3 for side in sides)
    return f"{name}: {ours:.1f} ms at most (alone {alone:.1f} ms)"


def main() -> None:
    """Run what the command line asks for."""
    names = [truth.program for truth in TRUTHS]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=names, metavar="NAME")
    parser.add_argument("--objects", type=int, action="append", metavar="N")
    options = parser.parse_args()
    began = time.monotonic()
    comparisons = []
    for objects in options.objects or OBJECTS:
        for truth in TRUTHS:
            if truth.program in (options.only or USUAL):
                comparisons.append(compare(truth, objects))
                print(table(comparisons[-1:]).splitlines()[-1], flush=True)
    parts = (table(comparisons), summary(comparisons), describe((time.monotonic() - began) / 60))
    text = "\n\n".join(parts)
    if options.only or options.objects:
        print(text)
        return
    before, _, rest = PAUSES.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAUSES.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    print(f"written: {PAUSES}")


if __name__ == "__main__":
    main()
