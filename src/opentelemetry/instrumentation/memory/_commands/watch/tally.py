"""What the watch counts about itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._commands.watch.intake import Reason

RequestOutcome = Literal["accepted", "malformed", "oversized", "busy", "unauthenticated"]
REQUEST_OUTCOMES: Final[tuple[RequestOutcome, ...]] = get_args(RequestOutcome)


@dataclass(slots=True)
class Tally:
    """Counts since the start.

    A count is added to under the fleet's lock, or by one thread only; reading needs no lock.
    """

    points: int = 0
    rejected: Counter[Reason] = field(default_factory=Counter)
    samples: int = 0
    expired: int = 0
    requests: Counter[RequestOutcome] = field(default_factory=Counter)
    events: int = 0
    events_dropped: int = 0
    exports_failed: int = 0
    saves_failed: int = 0
