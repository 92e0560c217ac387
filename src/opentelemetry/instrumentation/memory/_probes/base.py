"""What a probe is, and what the probes tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

Reading = TypeVar("Reading", covariant=True)  # noqa: PLC0105 - the reading, not the variance


class SourceHidden(OSError):  # noqa: N818 - a state of the process, not a mistake
    """A source is there and hidden for now; its last reading is good for a while."""


class Probe(Protocol[Reading]):
    """One source of memory figures of the calling process."""

    @property
    def name(self) -> str:
        """Return the name that logs and `opentelemetry-memory doctor` use."""
        ...

    def read(self) -> Reading:
        """Return the present figures.

        Raises:
            SourceUnavailable: This platform does not have the source; asking again is in vain.
            SourceHidden: Something in this process hides it, and may stop doing so.
            OSError: It could not be read this time.
            ValueError: It was read and makes no sense, as before OSError.
        """
        ...

    def close(self) -> None:
        """Give back what the probe holds open; it may be read again afterwards."""
        ...


# Two readings are made for each sample, and frozen they would cost three times as much to make.
# Nobody changes one.
@dataclass(slots=True)
class Resident:
    """Whole-process sizes in bytes; `mapped_bytes` is file-backed plus shared, if known."""

    resident_bytes: int
    virtual_bytes: int
    mapped_bytes: int | None


@dataclass(slots=True)
class Allocator:
    """One allocator's live bytes, and what it has obtained from the system to serve them."""

    used_bytes: int
    committed_bytes: int


@dataclass(frozen=True, slots=True)
class Limit:
    """The smallest memory limit that applies, and where it is set."""

    bytes: int
    origin: str
