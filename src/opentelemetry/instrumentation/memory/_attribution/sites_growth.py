"""From what was alive at two looks to the lines that keep what they allocate."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory import evidence
from opentelemetry.instrumentation.memory._attribution.naming import bounded, site_name
from opentelemetry.instrumentation.memory.evidence import SiteGrowth

if TYPE_CHECKING:
    from collections.abc import Mapping

Frame = tuple[str, int]
Frames = tuple[Frame, ...]
"""File and line, the nearest first."""

_OWN_FOLDER: Final = f"{Path(evidence.__file__).parent}{os.sep}"
_STANDARD_LIBRARY: Final = f"{Path(os.__file__).parent}{os.sep}"
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

_MOST_SITES: Final = 10
_MOST_CALLERS: Final = 8
# A line that keeps less than this part of what all lines keep is noise beside them.
_LEAST_SHARE: Final = 0.01
# Fewer blocks than these do not make a habit.
_FEW_BLOCKS: Final = 3
# A leak goes on at its pace: each stretch between two looks has at least this part of what is due,
# where enough is due to tell.
_LEAST_STEADY_SHARE: Final = 0.2
_ENOUGH_DUE: Final = 6.0
# How many standard deviations growth must be above the coming and going of blocks in use.
_DEVIATIONS: Final = 3.0
# A single block that grew is believed when the whole segment grows about as fast.
_BELIEVABLE: Final = 3.0


@dataclass(slots=True)
class Kept:
    """What one call stack has allocated that is still alive."""

    live_bytes: int = 0
    blocks: int = 0
    largest_bytes: int = 0

    def add(self, live_bytes: int, blocks: int, largest_bytes: int) -> None:
        """Count some more."""
        self.live_bytes += live_bytes
        self.blocks += blocks
        self.largest_bytes = max(self.largest_bytes, largest_bytes)


@dataclass(frozen=True, slots=True)
class Stack:
    """Who allocated: Python frames, nearest first, and the C function where it is known."""

    frames: Frames
    function: str | None = None


@dataclass(frozen=True, slots=True)
class Looks:
    """What was alive at some moments, of all that was allocated since watching began.

    Attributes:
        live: At each look, by call stack.
        at_seconds: When each look was, from the beginning of the burst.
        is_burst: Whether watching began with the burst. If it began long before, the first look
            says nothing of pace.
    """

    live: tuple[Mapping[Stack, Kept], ...]
    at_seconds: tuple[float, ...]
    is_burst: bool = True

    @property
    def seconds(self) -> float:
        """Return the time from the first look to the last."""
        return self.at_seconds[-1] - self.at_seconds[0]


def growing_sites(looks: Looks, bytes_per_second: float) -> tuple[SiteGrowth, ...]:
    """Return the lines whose live blocks became more from look to look, the fastest first.

    What was allocated before the first look and is still alive at the last may be in use or in a
    cache that is full by now; only what comes on top from the first to the last counts, and only if
    it is more than requests on their way explain and went at a steady pace.

    Args:
        looks: Two looks or more.
        bytes_per_second: How fast the segment grows by the verdict; zero when unknown.
    """
    by_line = [_by_line(live) for live in looks.live]
    grown: list[tuple[int, int, Frames, str | None]] = []
    for line, (last, frames) in by_line[-1].items():
        course = [each[line][0] if line in each else Kept() for each in by_line]
        grown_bytes = _grown_bytes(course, looks, bytes_per_second)
        if grown_bytes > 0:
            grown.append((grown_bytes, last.blocks - course[0].blocks, frames, line[1]))
    total_bytes = sum(each[0] for each in grown)
    grown.sort(key=lambda each: -each[0])
    return tuple(
        _named(each, looks.seconds)
        for each in grown[:_MOST_SITES]
        if each[0] >= _LEAST_SHARE * total_bytes
    )


def library_share(looks: Looks, sites: tuple[SiteGrowth, ...]) -> float:
    """Return the part of the growth, from 0 to 1, whose line is not the application's own."""
    told = {site.site: site.bytes_grown for site in sites if not site.is_native}
    total_bytes = sum(told.values())
    if not total_bytes:
        return 0.0
    libraries = {
        site_name(*frame)
        for stack in looks.live[-1]
        for frame in stack.frames[:1]
        if is_library(frame[0])
    }
    return sum(told[site] for site in told.keys() & libraries) / total_bytes


def is_library(filename: str) -> bool:
    """Return whether a file belongs to Python or to an installed package."""
    return (
        filename.startswith(("<frozen", _STANDARD_LIBRARY))
        or any(folder in filename for folder in _INSTALLED)
    )  # fmt: skip


def _by_line(
    kept: Mapping[Stack, Kept],
) -> dict[tuple[Frame | None, str | None], tuple[Kept, Frames]]:
    """Return the same by the nearest line of the application, with one stack from there on."""
    lines: dict[tuple[Frame | None, str | None], tuple[Kept, Frames]] = {}
    most: dict[tuple[Frame | None, str | None], int] = {}
    for stack, each in kept.items():
        frames = stack.frames
        if any(filename.startswith(_OWN_FOLDER) for filename, _ in frames):
            continue
        nearest = next((at for at, frame in enumerate(frames) if not is_library(frame[0])), 0)
        line = (frames[nearest] if frames else None, stack.function)
        total, shown = lines.setdefault(line, (Kept(), frames[nearest:]))
        total.add(each.live_bytes, each.blocks, each.largest_bytes)
        if each.live_bytes > most.get(line, -1):
            most[line] = each.live_bytes
            shown = frames[nearest:]
        lines[line] = (total, shown)
    return lines


def _grown_bytes(course: list[Kept], looks: Looks, bytes_per_second: float) -> int:
    """Return how many bytes a line keeps that it did not keep at the first look, or zero."""
    first, last = course[0], course[-1]
    blocks = last.blocks - first.blocks
    grown_bytes = last.live_bytes - first.live_bytes
    if blocks < _FEW_BLOCKS:
        pace = grown_bytes / looks.seconds
        return grown_bytes if _is_one_growing(course, pace, bytes_per_second) else 0
    if not _is_steady(course, looks) or blocks <= _DEVIATIONS * _deviation(first, blocks, looks):
        return 0
    if last.largest_bytes > last.live_bytes / 2 and last.largest_bytes > 2 * first.largest_bytes:
        # A table that was made larger: what it replaced is older than the burst, so its growth is
        # not known.
        grown_bytes -= last.largest_bytes
    return max(grown_bytes, 0)


def _is_steady(course: list[Kept], looks: Looks) -> bool:
    """Return whether every stretch has its part of the growth, where enough is due to tell."""
    blocks, times = [each.blocks for each in course], list(looks.at_seconds)
    pace = (blocks[-1] - blocks[0]) / looks.seconds
    if looks.is_burst:
        blocks, times = [0, *blocks], [0.0, *times]
    due = [pace * (until - since) for since, until in itertools.pairwise(times)]
    came = [after - before for before, after in itertools.pairwise(blocks)]
    return all(
        each >= _LEAST_STEADY_SHARE * expected
        for each, expected in zip(came, due, strict=True)
        if expected >= _ENOUGH_DUE
    )


def _deviation(first: Kept, grown_blocks: int, looks: Looks) -> float:
    """Return by how many blocks the first look may differ from another by chance."""
    if not looks.is_burst:
        return 0.0
    leaked = grown_blocks * looks.at_seconds[0] / looks.seconds
    return math.sqrt(max(first.blocks - leaked, 0.0))


def _is_one_growing(course: list[Kept], pace: float, bytes_per_second: float) -> bool:
    """Return whether it is a buffer that grows, rather than a buffer of varying size."""
    sizes = [each.live_bytes for each in course]
    return (
        course[-1].largest_bytes < 2 * course[0].largest_bytes
        and all(before < after for before, after in itertools.pairwise(sizes))
        and bytes_per_second / _BELIEVABLE < pace < bytes_per_second * _BELIEVABLE
    )


def _named(grown: tuple[int, int, Frames, str | None], seconds: float) -> SiteGrowth:
    grown_bytes, blocks, frames, function = grown
    lines = tuple(site_name(*frame) for frame in frames[: _MOST_CALLERS + 1])
    if function is not None:
        site, callers = bounded(function), lines
    else:
        site, callers = (lines[0], lines[1:]) if lines else ("outside of Python code", ())
    return SiteGrowth(
        site=site,
        callers=callers[:_MOST_CALLERS],
        bytes_grown=grown_bytes,
        blocks_grown=max(blocks, 0),
        bytes_per_second=grown_bytes / seconds,
        is_native=function is not None,
    )
