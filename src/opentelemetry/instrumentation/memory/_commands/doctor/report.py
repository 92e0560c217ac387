"""What `doctor` finds out, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SourceReport:
    """One memory source.

    Attributes:
        name: The probe's name, as in log messages.
        tells: What it is there for, in words.
        values: What it says now; sizes are in bytes. Empty when it says nothing.
        cost_microseconds: Median time of one read; None when it cannot be read.
        problem: Why it cannot be read, or None when it can.
        consequence: What is missing without it, or None when nothing is.
    """

    name: str
    tells: str
    values: Mapping[str, int]
    cost_microseconds: float | None = None
    problem: str | None = None
    consequence: str | None = None


@dataclass(frozen=True, slots=True)
class LimitReport:
    """One limit that was found."""

    bytes: int
    origin: str
    is_smallest: bool


@dataclass(frozen=True, slots=True)
class SettingReport:
    """One setting in force."""

    name: str
    value: float | None
    origin: str
    variable: str


@dataclass(frozen=True, slots=True)
class LoadingReport:
    """Whether `opentelemetry-instrument` would load the instrumentor, and metrics would leave."""

    is_loaded: bool
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything; `segments` is the resident set of the process that looked."""

    sources: tuple[SourceReport, ...]
    segments: Mapping[str, int]
    limits: tuple[LimitReport, ...]
    unreadable_limits: tuple[str, ...]
    settings: tuple[SettingReport, ...]
    setting_problems: tuple[str, ...]
    loading: LoadingReport
    versions: Mapping[str, str]

    @property
    def has_resident_set(self) -> bool:
        """Tell whether the one figure that everything rests on can be read."""
        return self.sources[0].problem is None
