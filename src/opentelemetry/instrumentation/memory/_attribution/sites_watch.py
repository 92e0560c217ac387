"""What a way of watching allocations has to offer to the inquiry that paces it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.instrumentation.memory._attribution.sites_growth import Kept, Stack


class WatchImpossible(Exception):  # noqa: N818 - a state of affairs, told in words
    """Allocations cannot be watched this way now; the message says why, and goes out as evidence.

    It names no value of the application.
    """


class Watch(Protocol):
    """Watches allocations from `begin` to `end`, at the application's expense.

    Attributes:
        longest_pause_seconds: The longest time for which one call kept other threads waiting.
        memory_bytes: What it held at most, by estimate.
        cpu_seconds: CPU time spent for it outside of this process.
    """

    longest_pause_seconds: float
    memory_bytes: int
    cpu_seconds: float

    def prepare(self) -> Generator[float, None, None]:
        """Load what is needed, in steps.

        Raises:
            WatchImpossible: It is not there.
        """
        ...

    def begin(self) -> None:
        """Watch from now on, with nothing seen.

        Raises:
            WatchImpossible: Somebody else is watching.
        """
        ...

    def is_interrupted(self) -> bool:
        """Return whether the application has taken over."""
        ...

    def is_full(self) -> bool:
        """Return whether another look would be too dear if it came any later."""
        ...

    def look(self) -> None:
        """Remember what is alive now; the last look is just before the end."""
        ...

    def end(self) -> None:
        """Watch no longer; does nothing when it was not watching."""
        ...

    def close(self) -> None:
        """End, and leave nothing behind."""
        ...

    def longest_seconds(self, trial_seconds: float) -> float:
        """Return for how long it may watch by what a trial of this length has recorded."""
        ...

    def reading_seconds(self, seconds: float, trial_seconds: float) -> float:
        """Return the CPU time that results will take outside of this process, by the same trial."""
        ...

    def results(self) -> Generator[float, None, list[dict[Stack, Kept]]]:
        """Return what was alive at each look, worked out in steps."""
        ...
