"""What was seen, in bounded space: recent samples one by one, older ones ever more thinly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory.model import MemorySample

TIER_SAMPLES: Final = 64
TIERS: Final = 8


class History:
    """Samples in tiers: the newest 64 as taken, the next 64 every second one, then every fourth.

    Eight tiers of 64 span about 16,000 sampling intervals in at most 512 samples (0.4 MB). Beyond
    that the oldest are forgotten. Appending is O(1) on average.
    """

    def __init__(self) -> None:
        self._tiers: list[list[MemorySample]] = [[] for _ in range(TIERS)]
        self._skips = [False] * TIERS

    def append(self, sample: MemorySample) -> None:
        """Add the newest sample; a full tier hands its oldest one on, and the next keeps half."""
        for index, tier in enumerate(self._tiers):
            if index and self._toggle(index):
                return
            tier.append(sample)
            if len(tier) <= TIER_SAMPLES:
                return
            sample = tier.pop(0)

    def samples(self) -> tuple[MemorySample, ...]:
        """Return what is kept, oldest first."""
        return tuple(sample for tier in reversed(self._tiers) for sample in tier)

    def _toggle(self, index: int) -> bool:
        self._skips[index] = not self._skips[index]
        return not self._skips[index]
