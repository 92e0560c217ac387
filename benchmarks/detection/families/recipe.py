"""One parametric series before it becomes a file: what is alive, what the allocator keeps."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MIB = 1 << 20
PAGE_BYTES = 4096
Columns = Literal["all", "rss", "rss+limit", "no limit"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What one series is made of; arrays are MiB, one value a sample.

    Attributes:
        program: The kind of program. No program is in both halves.
        shape: The class under which results are reported.
        live: Live bytes of the object allocator; for `rss` series, the whole level.
        native: Live bytes of malloc.
        mapped: Resident bytes that no allocator knows: direct maps, thread stacks.
        keeps: Share of freed arenas that the object allocator does not give back at once.
        pinned: MiB in arenas that fragmentation keeps from being given back.
        leak_start: Share of the run at which memory begins to be lost, None for healthy series.
    """

    name: str
    program: str
    shape: str
    half: Literal["tuning", "test"]
    interval: float
    live: Array
    native: Array | float = 12.0
    mapped: Array | float = 0.0
    keeps: float = 0.85
    pinned: Array | float = 0.0
    leak_start: float | None = None
    leak_stop: float | None = None
    segment: str = "none"
    columns: Columns = "all"
    limit_mib: int = 512
    notes: str = ""

    @property
    def points(self) -> int:
        """Number of samples."""
        return len(self.live)


def generator(name: str) -> Generator:
    """Return a generator that depends on the name only: adding a series changes no other."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def committed(live: Array, keeps: float) -> Array:
    """Return what an arena allocator holds: up at once, down only in part."""
    out = np.empty(len(live))
    held = 0.0
    for i, value in enumerate(live):
        need = value * 1.04 + 0.5
        held = need if need > held else max(need, held - (1 - keeps) * (held - need))
        out[i] = np.ceil(held)
    return out


def rows(recipe: Recipe) -> list[str]:
    """Return the CSV rows: bytes, rounded to whole pages as a kernel counts them."""
    n = recipe.points
    rng = generator(recipe.name + " resident")
    live = np.maximum(recipe.live, 0.5)
    native = np.maximum(np.broadcast_to(recipe.native, n), 0.5)
    is_split = recipe.columns in {"all", "no limit"}
    if is_split:
        held = committed(live, recipe.keeps) + np.ceil(np.broadcast_to(recipe.pinned, n))
        resident = 9.0 + held + native + np.broadcast_to(recipe.mapped, n)
        resident = resident + np.abs(rng.normal(0, 0.05, n))
    else:
        held = np.zeros(n)
        resident = live + np.broadcast_to(recipe.mapped, n)
    used_bytes, held_bytes, native_bytes, resident_bytes = (
        (values * MIB / PAGE_BYTES).astype(np.int64) * PAGE_BYTES
        for values in (live, held, native, resident)
    )
    limit = "" if recipe.columns in {"rss", "no limit"} else str(recipe.limit_mib * MIB)
    times = np.arange(n) * recipe.interval
    if not is_split:
        return [f"{t:.10g},{r},,,,{limit}" for t, r in zip(times, resident_bytes, strict=True)]
    return [
        f"{t:.10g},{r},{u},{h},{c},{limit}"
        for t, r, u, h, c in zip(
            times, resident_bytes, used_bytes, held_bytes, native_bytes, strict=True
        )
    ]


def manifest_entry(recipe: Recipe) -> dict[str, object]:
    """Return what the manifest says about the series."""
    duration = (recipe.points - 1) * recipe.interval

    def moment(share: float | None) -> float | None:
        if share is None:
            return None
        return float(np.ceil(share * recipe.points) * recipe.interval)

    return {
        "name": recipe.name,
        "file": recipe.name + ".csv.gz",
        "source": "parametric",
        "truth": "healthy" if recipe.leak_start is None else "leak",
        "class": recipe.shape,
        "program": recipe.program,
        "half": recipe.half,
        "leak_start_s": moment(recipe.leak_start),
        "leak_stop_s": moment(recipe.leak_stop),
        "segment": recipe.segment,
        "duration_s": duration,
        "interval_s": recipe.interval,
        "points": recipe.points,
        "notes": recipe.notes,
    }
