"""The catalogue as the judges see it: labelled series that become `MemorySample`s."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from opentelemetry.instrumentation.memory.model import MemorySample, Partition

if TYPE_CHECKING:
    from collections.abc import Iterator

CATALOGUE = Path(__file__).with_name("catalogue")
COLUMNS = ("time_s", "rss", "heap_used", "heap_committed", "native_used", "limit")


@dataclass(frozen=True, slots=True)
class Label:
    """What is known about a series; times in seconds since its first sample's clock.

    Attributes:
        program: The kind of program, the key by which the catalogue is split.
        segment: Where memory is lost: python, native, mapped, unknown (no column tells) or none.
    """

    name: str
    file: str
    is_leak: bool
    shape: str
    program: str
    half: Literal["tuning", "test", "random"]
    source: str
    leak_start_seconds: float | None
    leak_stop_seconds: float | None
    segment: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a series: seconds and bytes, None where the cell is empty; files know no pid."""

    time: float
    rss: int
    heap_used: int | None = None
    heap_committed: int | None = None
    native_used: int | None = None
    limit: int | None = None
    pid: int = 1


@dataclass(frozen=True, slots=True)
class Series:
    """A label and its rows."""

    label: Label
    rows: tuple[Row, ...]


@cache
def labels(folder: Path = CATALOGUE) -> tuple[Label, ...]:
    """Return every label of the manifest, in its order."""
    return tuple(
        Label(
            name=entry["name"],
            file=entry["file"],
            is_leak=entry["truth"] == "leak",
            shape=entry["class"],
            program=entry["program"],
            half=entry["half"],
            source=entry["source"],
            leak_start_seconds=entry["leak_start_s"],
            leak_stop_seconds=entry["leak_stop_s"],
            segment=entry["segment"],
        )
        for entry in json.loads((folder / "manifest.json").read_text())
    )


def read_rows(path: Path) -> tuple[Row, ...]:
    """Return the rows of one `.csv.gz`."""

    def whole(cell: str) -> int | None:
        return int(cell) if cell else None

    with gzip.open(path, "rt", newline="") as file:
        return tuple(
            Row(
                time=float(line["time_s"]),
                rss=int(line["rss"]),
                heap_used=whole(line["heap_used"]),
                heap_committed=whole(line["heap_committed"]),
                native_used=whole(line["native_used"]),
                limit=whole(line["limit"]),
            )
            for line in csv.DictReader(file)
        )


def load(label: Label, folder: Path = CATALOGUE) -> Series:
    """Return the series of a label: read from its file, or made anew if it is a random one."""
    if label.source == "random":
        from random_series import series  # noqa: PLC0415 - which needs what is defined here

        return series(label.name)
    return Series(label, read_rows(folder / label.file))


def partition(row: Row) -> Partition:
    """Return the resident set of a row, split without remainder and without negative parts.

    Bytes that were obtained and never touched are not resident: they come off the retained part
    first, then off the native heap, then off the python heap. A missing source leaves its bytes
    in the anonymous rest.
    """
    used = row.heap_used
    native = row.native_used
    retained = None
    if used is not None and row.heap_committed is not None:
        retained = max(0, row.heap_committed - used)
    excess = (used or 0) + (native or 0) + (retained or 0) - row.rss
    if excess > 0 and retained is not None:
        taken = min(excess, retained)
        retained, excess = retained - taken, excess - taken
    if excess > 0 and native is not None:
        taken = min(excess, native)
        native, excess = native - taken, excess - taken
    if excess > 0 and used is not None:
        used = max(0, used - excess)
    return Partition(
        python_heap_bytes=used,
        native_heap_bytes=native,
        retained_bytes=retained,
        other_anonymous_bytes=row.rss - (used or 0) - (native or 0) - (retained or 0),
    )


def samples(series: Series) -> Iterator[MemorySample]:
    """Yield the rows as the samples that a sampler would have taken."""
    for row in series.rows:
        yield MemorySample(
            taken_at_seconds=row.time,
            pid=row.pid,
            resident_bytes=row.rss,
            partition=partition(row),
            heap_used_bytes=row.heap_used,
            heap_committed_bytes=row.heap_committed,
            limit_bytes=row.limit,
        )
