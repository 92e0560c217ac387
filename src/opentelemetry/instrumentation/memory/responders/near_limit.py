"""Tells when a process comes near its limit, once a crossing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory.model import MemorySample

NEAR: Final = 0.9
FAR: Final = 0.8


class NearLimit:
    """Watches how much of the limit is used, by all that count against it.

    Of several workers that share a limit each sees the same, and each tells once.
    """

    def __init__(self) -> None:
        self._is_near = False

    def is_crossed(self, sample: MemorySample) -> bool:
        """Return whether this sample is the first one at 0.9, since the last one below 0.8."""
        headroom_bytes = sample.headroom_bytes
        if headroom_bytes is None or not sample.limit_bytes:
            return False
        utilization = 1 - headroom_bytes / sample.limit_bytes
        was_near = self._is_near
        self._is_near = utilization >= (FAR if was_near else NEAR)
        return self._is_near and not was_near
