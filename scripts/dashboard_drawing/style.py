"""Colours, and numbers as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.demo.figures import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.grafana import Panel

INK: Final = "#1f2328"
FAINT: Final = "#656d76"
BORDER: Final = "#d0d7de"
# Grafana's names of colours, as they are legible on white.
NAMED: Final = {"green": "#1a7f37", "orange": "#bc6c00", "red": "#a40e26", "text": INK}
# Okabe and Ito's palette, and more of its kind.
LINES: Final = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#7a5195", "#8c6d31", "#393b79", "#637939"),
)


def _scaled(value: float) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(value) >= size:
            return (
                f"{value / size:.3g} {unit}"
                if abs(value) < 1000 * size
                else f"{value / size:.0f} {unit}"
            )
    return f"{value:.0f} B"


UNITS: Final[Mapping[str, Callable[[float], str]]] = {
    "bytes": _scaled,
    "binBps": lambda value: f"{_scaled(value)}/s",
    "percentunit": lambda value: f"{value * 100:.3g} %",
    "s": duration,
    "cps": lambda value: f"{value:.3g}/s",
    "none": lambda value: f"{value:.2f}",
    "short": lambda value: f"{value:.3g}",
}


def unit_of(panel: Panel) -> Callable[[float], str]:
    """Return how a panel's values are written."""
    return UNITS[panel.definition["fieldConfig"]["defaults"]["unit"]]
