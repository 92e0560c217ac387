"""The kept floor of a series at one time scale, and every rise that was given back."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.instrumentation.memory._detection.state import (
    items,
    members,
    number,
    packed,
    unpacked,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOW_BLOCKS: Final = 96
_STRIDE: Final = 4
# One below the window, which the rises within it start from.
_MOST_STEPS: Final = WINDOW_BLOCKS + 1
# Two bins an octave, up to the window.
_DURATION_BINS: Final = 16
_MINIMUM_BLOCKS: Final = 12
_MINIMUM_STEPS: Final = 4
CONFIRMING_BLOCKS: Final = 1
# What took a third of the time or more to rise, and was given back, is a like rise.
_LIKE: Final = 3.0
# A rise is timed by the middle part of its height: between a tenth and nine tenths of it.
_EDGE: Final = 0.1
# A floor that has risen by less than this share of a later rise stood still before it.
_STILL: Final = 0.1
# What was given back counts in full until the series is so many times as old as it was then.
_FADES_FROM: Final = 4.0


class Rise(NamedTuple):
    """A rise of the kept floor that reaches to the present.

    Attributes:
        samples: How many samples it lasts.
        seconds: How long it lasts.
        height: How far the floor rose.
        concavity: Mean of the normalised rise minus one half: 0 for a line, above 0 when it slows
            down (0.06 for the second half of a logarithm), below 0 when it accelerates.
        slowing: The same from where it has reached a tenth of its height on: a standstill before
            it hides no slowing down.
        largest_step: The largest single step, as a share of the height.
        height_given_back: The highest rise of like duration (a third or more) that did not last.
        pace_before: The floor's rise per second in the like time before, as a share of this one's.
        quiet_before: For how long the floor stood still before it, in durations of this rise.
        share_of_history: Its duration as a share of the time since the first sample.
        share_of_samples: Its samples as a share of all samples; a gap is no history.
        fallen_back: How far below its peak the series is now, as a share of the height.
        rising_share: For how much of its duration it rises, by the middle eight tenths of its
            height: 1 for a line, less where it stands still before or after.
        still_share: For how much of its duration it stands still before it rises.
        bytes_per_second: Its pace.
    """

    samples: int
    seconds: float
    height: float
    concavity: float
    slowing: float
    largest_step: float
    height_given_back: float
    pace_before: float
    quiet_before: float
    share_of_history: float
    share_of_samples: float
    fallen_back: float
    rising_share: float
    still_share: float
    bytes_per_second: float


class KeptFloor:
    """What of each past level has never been given back, as a staircase that only rises.

    Samples are averaged in blocks of fixed length; of blocks the lowest counts. Step i of the
    staircase says: from that block on the series has stayed at or above this level. A new low
    removes the steps above it (a monotonic stack, O(1) amortised), and the rise that they stood for
    is remembered by its duration: it was innocent. It fades once the series is several times as
    old, unless the level fell lower since. A sawtooth, a batch or a season is a rise that is given
    back; a cache is one whose steps get lower; a leak is one that does neither.
    """

    def __init__(self, block_samples: int) -> None:
        self.block_samples = block_samples
        self.blocks = 0
        self._count = 0
        self._level = 0.0
        self._time_sum = 0.0
        self._first = 0.0
        self._now = 0.0
        # The times of the newest blocks, oldest first.
        self._recent = [0.0] * (CONFIRMING_BLOCKS + 1)
        # Steps as (block, time, level, peak since), oldest first.
        self._steps = array("d")
        # The highest rise of each duration that was given back, and the block in which it was.
        self._given_back = array("d", [0.0, 0.0] * _DURATION_BINS)

    def add(self, time: float, value: float, weight: int = 1) -> tuple[float, float] | None:
        """Add a sample, or a block of `weight` samples; return a block that this completed.

        Samples are averaged, which takes out noise; of blocks the lowest counts, which takes out
        teeth. What is returned is its mean time and its level.
        """
        if weight == 1:
            self._level += value
        else:
            self._level = min(self._level, value) if self._count else value
        self._count += weight
        self._time_sum += weight * time
        if self._count < self.block_samples:
            return None
        self._now = self._time_sum / self._count
        level = self._level / self._count if weight == 1 else self._level
        self._push(level)
        self._count, self._level, self._time_sum = 0, 0.0, 0.0
        return self._now, level

    def rises(self, least_height: float = 0.0) -> Iterator[Rise]:
        """Yield the rises of at least that height that reach to the present, shortest first.

        O(steps) for all of them together.
        """
        steps = self._steps
        last = earlier = still = low = high = len(steps) - _STRIDE
        # The newest blocks only confirm what was there before them: no later block has yet shown
        # which part of their own level will be kept.
        ended = self._recent[0]
        while last > 0 and steps[last + 1] > ended:
            last -= _STRIDE
        if last < _STRIDE * _MINIMUM_STEPS:
            return
        top, now_level = steps[last + 2], steps[-2]
        area, above, until, largest, peak = 0.0, top, ended, 0.0, max(steps[last + 3 :: _STRIDE])
        longest = WINDOW_BLOCKS // 2 if self.blocks > WINDOW_BLOCKS else WINDOW_BLOCKS
        age = ended - self._first
        areas: dict[int, float] = {}
        for index in range(last, 0, -_STRIDE):
            began, level, base = steps[index + 1], steps[index + 2], steps[index - 2]
            # Between two steps the floor is taken to rise evenly, else few steps would look bent.
            area += (level + above) / 2 * (until - began)
            areas[index] = area
            above, until = level, began
            largest = max(largest, level - base)
            peak = max(peak, steps[index + 3])
            blocks = int(self.blocks - steps[index]) - CONFIRMING_BLOCKS
            if blocks > longest:
                return
            seconds, height = ended - began, top - base
            count = (last - index) // _STRIDE + 1
            if blocks < _MINIMUM_BLOCKS or count < _MINIMUM_STEPS or height < least_height:
                continue
            if seconds <= 0:  # so close together that their times are the same number
                continue
            # Timed by the middle of its height: a standstill at either end is no part of the rise.
            edge = _EDGE * (top - level)
            low, low_time = _reached(steps, min(low, last), level + edge, index)
            high, high_time = _reached(steps, min(high, last), top - edge, index)
            rising = min((high_time - low_time) / ((1 - 2 * _EDGE) * seconds), 1.0)
            mean = (area / seconds - level) / (top - level)
            # What stands still before the edge must not hide that what follows slows down.
            timed, begun, after = ended - low_time, level + edge, low + _STRIDE
            below = top * timed
            if after <= last:
                below = areas[after] + (begun + steps[after + 2]) / 2 * (
                    steps[after + 1] - low_time
                )
            mean_after = (below / timed - begun) / (top - begun) if timed > 0 else 1.0
            before = min(seconds, began - self._first)
            earlier = min(earlier, index - _STRIDE)
            while earlier > 0 and steps[earlier + 1] > began - before:
                earlier -= _STRIDE
            rise_before = base - steps[earlier + 2]
            still = min(still, index - _STRIDE)
            while still > 0 and base - steps[still - 2] <= _STILL * height:
                still -= _STRIDE
            yield Rise(
                samples=blocks * self.block_samples,
                seconds=seconds,
                height=height,
                concavity=mean - 0.5,
                slowing=mean_after - 0.5,
                largest_step=largest / height,
                height_given_back=self._innocent_height(blocks),
                pace_before=rise_before / before * seconds / height if before > 0 else 0.0,
                quiet_before=(began - steps[still + 1]) / seconds,
                share_of_history=seconds / age,
                share_of_samples=blocks / max(self.blocks - 1 - CONFIRMING_BLOCKS, 1),
                fallen_back=(peak - now_level) / height,
                rising_share=rising,
                still_share=max((low_time - began) / seconds - _EDGE * rising, 0.0),
                # The step up to the rise's first block belongs to the height: one block more.
                bytes_per_second=height / seconds * (1 - 1 / blocks),
            )

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values, in less than 6 KiB of JSON."""
        steps = self._steps
        values = array("d")
        for column in (1, 2, 3):
            values.extend(steps[column::_STRIDE])
        return {
            "blocks": self.blocks,
            "partial": [self._count, self._level, self._time_sum],
            "first": self._first,
            "recent": self._recent,
            "began_blocks_ago": [self.blocks - int(block) for block in steps[::_STRIDE]],
            "steps": packed(values),
            "given_back": packed(self._given_back),
        }

    @classmethod
    def from_state(cls, block_samples: int, saved: Any) -> KeptFloor:
        """Return the floor, with blocks of that length, that `to_state` described.

        Raises:
            ValueError: It described none.
        """
        state = members(saved)
        floor = cls(block_samples)
        try:
            floor.blocks = whole(state["blocks"])
            count, partial, time_total = items(state["partial"], 3)
            first = number(state["first"])
            recent = [number(each) for each in items(state["recent"], CONFIRMING_BLOCKS + 1)]
            ago = [whole(each, 1) for each in items(state["began_blocks_ago"], _MOST_STEPS)]
            values = unpacked(state["steps"])
            given_back = unpacked(state["given_back"])
        except KeyError as error:
            raise ValueError(f"damaged detector state: no {error}") from error
        floor._count = whole(count, 0, block_samples - 1)
        floor._level, floor._time_sum = number(partial), number(time_total)
        if len(recent) != CONFIRMING_BLOCKS + 1 or recent != sorted(recent):
            raise ValueError("damaged detector state: times do not pass")
        floor._first, floor._recent, floor._now = first, recent, recent[-1]
        if len(values) != 3 * len(ago) or (floor.blocks > 0) != bool(ago):
            raise ValueError("damaged detector state: steps are missing")
        if len(given_back) != 2 * _DURATION_BINS or min(given_back) < 0:
            raise ValueError("damaged detector state: not what was given back")
        floor._given_back = given_back
        for block, *step in zip(ago, *_thirds(values), strict=True):
            floor._steps.extend((float(floor.blocks - block), *step))
        floor._check_steps()
        return floor

    def _check_steps(self) -> None:
        steps = self._steps
        blocks, times, levels, peaks = (list(steps[column::_STRIDE]) for column in range(_STRIDE))
        is_rising = all(
            each == sorted(each) and len(set(each)) == len(each) for each in (blocks, levels)
        )
        passed = [self._first, *times, self._now]
        is_timed = not times or passed == sorted(passed)
        is_below_peak = all(level <= peak for level, peak in zip(levels, peaks, strict=True))
        if not (is_rising and is_timed and is_below_peak):
            raise ValueError("damaged detector state: the floor does not rise")

    def _push(self, level: float) -> None:
        steps, block = self._steps, float(self.blocks)
        if self.blocks == 0:
            self._first = self._now
        began_block, began, peak = block, self._now, level
        # The same level again is no news: what it had risen by before is remembered already.
        has_fallen = bool(steps) and steps[-2] > level
        while steps and steps[-2] >= level:
            began_block, began, peak = steps[-4], steps[-3], max(peak, steps[-1])
            del steps[-_STRIDE:]
        if has_fallen:
            bin_ = _duration_bin(block - began_block)
            if peak - level >= self._remembered(bin_):
                self._given_back[2 * bin_] = peak - level
                self._given_back[2 * bin_ + 1] = block
        steps.extend((began_block, began, level, peak))
        while len(steps) > _STRIDE and block - steps[_STRIDE] >= WINDOW_BLOCKS:
            del steps[:_STRIDE]
        self._recent = [*self._recent[1:], self._now]
        self.blocks += 1

    def _innocent_height(self, blocks: int) -> float:
        first_like = _duration_bin(max(blocks / _LIKE, 1.0))
        return max(map(self._remembered, range(first_like, _DURATION_BINS)), default=0.0)

    def _remembered(self, bin_: int) -> float:
        height, block = self._given_back[2 * bin_], self._given_back[2 * bin_ + 1]
        return height * min(1.0, _FADES_FROM * block / max(self.blocks, 1))


def _reached(steps: array[float], index: int, wanted: float, first: int) -> tuple[int, float]:
    """Return the newest step that is not above a level, and when the floor reached that level.

    Looks from `index` to older steps, down to `first`; between steps the floor rises evenly.
    """
    while index > first and steps[index + 2] > wanted:
        index -= _STRIDE
    began, level = steps[index + 1], steps[index + 2]
    after = index + _STRIDE
    if level >= wanted or after >= len(steps):
        return index, began
    share = (wanted - level) / (steps[after + 2] - level)
    return index, began + share * (steps[after + 1] - began)


def _duration_bin(blocks: float) -> int:
    return min(int(2 * math.log2(max(blocks, 1.0))), _DURATION_BINS - 1)


def _thirds(values: array[float]) -> tuple[array[float], array[float], array[float]]:
    length = len(values) // 3
    return values[:length], values[length : 2 * length], values[2 * length :]
