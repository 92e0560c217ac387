"""One segment's growth, judged on every time scale at once."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._detection import risk
from opentelemetry.instrumentation.memory._detection.envelope import KeptFloor
from opentelemetry.instrumentation.memory._detection.state import items, members, number, text

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._detection.envelope import Rise

_FINEST_BLOCK_SAMPLES: Final = 4
_SCALE_FACTOR: Final = 4
# 4 x 4^9 x 48 blocks: half a century at one sample every two minutes.
_SCALES: Final = 10
# The finest blocks come so fast that judging each would cost more than it tells.
_JUDGE_EVERY_FINEST_BLOCKS: Final = 4
_FIRST_JUDGED_BLOCK: Final = 12


@dataclass(frozen=True, slots=True)
class Judgement:
    """The most leak-like rise of one segment at one scale; scores are log odds.

    It is as long as it rises, without a standstill at either end.
    """

    raise_score: float = risk.IMPLAUSIBLE
    hold_score: float = risk.IMPLAUSIBLE
    bytes_per_second: float = 0.0
    seconds: float = 0.0
    height_bytes: float = 0.0
    obstacle: str | None = None


_NOTHING: Final = Judgement()


class SegmentWatch:
    """The kept floors of one segment, at block lengths that grow by four from scale to scale.

    A scale hands its completed blocks on to the next, so that one sample costs O(1) amortised.
    """

    def __init__(self) -> None:
        self._floors = [KeptFloor(_FINEST_BLOCK_SAMPLES)]
        self._judgements = [_NOTHING]

    def add(
        self, time: float, value: float, resident_bytes: float, limit_bytes: float | None
    ) -> bool:
        """Add the value of one tick; return whether that led to a new judgement at any scale."""
        weight, is_judged = 1, False
        for index in range(_SCALES):
            if index == len(self._floors):
                self._floors.append(KeptFloor(weight * _SCALE_FACTOR))
                self._judgements.append(_NOTHING)
            floor = self._floors[index]
            completed = floor.add(time, value, weight)
            if completed is None:
                break
            is_due = index > 0 or floor.blocks % _JUDGE_EVERY_FINEST_BLOCKS == 0
            if is_due and floor.blocks >= _FIRST_JUDGED_BLOCK:
                self._judgements[index] = _judge(floor, resident_bytes, limit_bytes)
                is_judged = True
            time, value = completed
            weight = floor.block_samples
        return is_judged

    def best(self, *, is_raised: bool) -> Judgement:
        """Return the judgement of the scale that sees the most leak-like rise."""
        if is_raised:
            return max(self._judgements, key=lambda each: each.hold_score)
        return max(self._judgements, key=lambda each: each.raise_score)

    def longest_held(self) -> Judgement:
        """Return the judgement of the scale that sees the longest rise that holds.

        Its pace is the least disturbed by teeth and seasons.
        """
        held = [each for each in self._judgements if each.hold_score > risk.IMPLAUSIBLE]
        return max(held, key=lambda each: each.seconds) if held else self.best(is_raised=True)

    def tallest(self) -> Judgement:
        """Return the judgement of the scale that sees the highest rise."""
        return max(self._judgements, key=lambda each: each.height_bytes)

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "floors": [floor.to_state() for floor in self._floors],
            "judgements": [list(astuple(judgement)) for judgement in self._judgements],
        }

    @classmethod
    def from_state(cls, saved: Any) -> SegmentWatch:
        """Return what `to_state` described.

        Raises:
            ValueError: It described none.
        """
        state = members(saved)
        floors = items(state.get("floors"), _SCALES)
        judgements = items(state.get("judgements"), _SCALES)
        if not floors or len(floors) != len(judgements):
            raise ValueError("damaged detector state: a scale is missing")
        watch = cls()
        watch._floors = [
            KeptFloor.from_state(_FINEST_BLOCK_SAMPLES * _SCALE_FACTOR**index, floor)
            for index, floor in enumerate(floors)
        ]
        watch._judgements = [_restored_judgement(judgement) for judgement in judgements]
        return watch


def _restored_judgement(saved: Any) -> Judgement:
    raised, held, pace, seconds, height, obstacle = items(saved, 6)
    return Judgement(
        number(raised),
        number(held),
        number(pace),
        number(seconds, least=0),
        number(height, least=0),
        None if obstacle is None else text(obstacle),
    )


def _judge(floor: KeptFloor, resident_bytes: float, limit_bytes: float | None) -> Judgement:
    raised = held = risk.IMPLAUSIBLE
    chosen: Rise | None = None
    tallest: Rise | None = None
    for rise in floor.rises(least_height=risk.HOLD.least_share_of_resident * resident_bytes / 2):
        tallest = rise
        if risk.obstacle(rise, resident_bytes, limit_bytes, risk.HOLD) is not None:
            continue
        is_urgent = risk.is_urgent(rise, resident_bytes, limit_bytes)
        score = risk.score(rise, is_urgent=is_urgent)
        if score > held:
            held, chosen = score, rise
        if score > raised and risk.obstacle(rise, resident_bytes, limit_bytes, risk.RAISE) is None:
            raised = score
    if tallest is None:
        return _NOTHING
    described = chosen or tallest
    rising = max(described.rising_share, risk.LEAST_RISING)
    return Judgement(
        raise_score=raised,
        hold_score=held,
        bytes_per_second=described.bytes_per_second / rising,
        seconds=described.seconds * rising,
        height_bytes=described.height,
        obstacle=risk.obstacle(tallest, resident_bytes, limit_bytes, risk.RAISE),
    )
