"""One kind of evidence, gathered in steps that are short enough for nobody to notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.instrumentation.memory.evidence import EvidenceKind, Findings
    from opentelemetry.instrumentation.memory.model import MemorySample, Segment

LONGEST_STEP_SECONDS: Final = 0.02
"""What a step aims to stay below, with the GIL held or not; the bar is 50 ms."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is known when an inquiry begins.

    Attributes:
        segment: The segment under suspicion; None when somebody asked without a suspicion.
        bytes_per_second: How fast it grows, by the verdict; zero when unknown.
        sample: The latest sample of the process.
    """

    segment: Segment | None
    bytes_per_second: float
    sample: MemorySample

    def seconds_to_grow(self, wanted_bytes: float, least: float, most: float) -> float:
        """Return how long to wait for this much growth, within two limits, in seconds."""
        if self.bytes_per_second <= 0:
            return least
        return min(max(wanted_bytes / self.bytes_per_second, least), most)


class Inquiry(Protocol):
    """Looks at the process in one way.

    `gather` is a generator: between two yields it does at most `LONGEST_STEP_SECONDS` of work, and
    each yield says how many seconds must pass at least before it goes on. The investigation may
    make it wait for longer, to keep the budget, and may close it at any yield: a `finally` block
    leaves nothing behind. What `gather` returns is its answer. It holds no reference to an object
    of the application across a yield that asks for a rest.

    Attributes:
        kind: What it looks at.
        is_holding: Whether it takes up so much memory of its own just now, or hides so much, that
            the process's figures are not to be judged. Read by other threads.
        interim: What is certain while it is still looking, a new object whenever there is more of
            it; None where there is nothing to tell before the end.
    """

    kind: EvidenceKind
    is_holding: bool
    interim: Findings | None

    def gather(self, case: Case) -> Generator[float, None, Findings]:
        """Look, step by step, and return what was found."""
        ...
