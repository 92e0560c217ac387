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
    """The smallest memory limit that applies, and where it is set.

    Attributes:
        bytes: The limit.
        origin: The file, the resource limit or the setting that it comes from.
        usage_bytes: What counts against it now, of all processes that share it; None where it holds
            for this process alone, or where that cannot be read.
        is_of_virtual_size: Whether address space counts against it, touched or not.
    """

    bytes: int
    origin: str
    usage_bytes: int | None = None
    is_of_virtual_size: bool = False
