"""What the answer to one process's verdicts depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._judge import Judge
    from opentelemetry.instrumentation.memory._outlets import Outlets
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
    from opentelemetry.instrumentation.memory.config import MemoryConfig


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts of one process, for whoever answers its verdicts.

    Attributes:
        config: Whether to look, what it may cost, and where snapshots go.
        clock: The time, and what looking costs.
        sampler: Of the same process.
        judge: Of the same process.
        outlets: Where what is found goes, and whose requests are counted.
    """

    config: MemoryConfig
    clock: Clock
    sampler: Sampler
    judge: Judge
    outlets: Outlets
