"""Draw one series with what the detector thought of it, or how far its risk can be believed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import matplotlib as mpl
from judges import DETECTOR, opinions
from report import HALVES
from scoring import reliability
from series import labels, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

mpl.use("Agg")
from matplotlib import pyplot as plt

MIB = 1 << 20


def draw(name: str) -> str:
    """Write NAME.png to the working directory and return its name."""
    label = next((label for label in labels() if label.name == name), None)
    if label is None:
        sys.exit(f"no such series: {name}")
    series = load(label)
    times = [row.time for row in series.rows]
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(9, 6), height_ratios=(3, 1))
    for column in ("rss", "heap_used", "heap_committed", "native_used"):
        values = [getattr(row, column) for row in series.rows]
        if values[0] is not None:
            upper.plot(times, [value / MIB for value in values], lw=0.9, label=column)
    for moment, colour in ((label.leak_start_seconds, "red"), (label.leak_stop_seconds, "green")):
        if moment is not None:
            upper.axvline(moment, color=colour, lw=0.8)
            lower.axvline(moment, color=colour, lw=0.8)
    thoughts = opinions(DETECTOR, series)
    lower.plot(times, [opinion.risk for _, opinion in thoughts], color="black", lw=0.9)
    lower.fill_between(
        times, 0, [float(opinion.is_alarm) for _, opinion in thoughts], color="red", alpha=0.15
    )
    lower.set_ylim(0, 1.02)
    lower.set_ylabel("risk")
    lower.set_xlabel("seconds")
    upper.set_ylabel("MiB")
    upper.set_title(f"{name}: {'leak' if label.is_leak else 'healthy'}, {label.program}")
    upper.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(f"{name}.png", dpi=110)
    return f"{name}.png"


def draw_reliability(path: Path, moments: Mapping[str, Sequence[tuple[float, bool]]]) -> None:
    """Write the share of leaks by risk, with how often each risk was given, for each half."""
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(6, 6), height_ratios=(3, 1))
    upper.plot((0, 1), (0, 1), color="grey", lw=0.8, ls="--", label="as promised")
    width = 0.02
    for number, (half, pairs) in enumerate(moments.items()):
        bins = [each for each in reliability(pairs) if each.count]
        risks = [each.mean_risk for each in bins]
        upper.plot(risks, [each.leak_share for each in bins], marker="o", label=HALVES[half])
        beside = [(each.mean_risk or 0.0) + (number - 1) * width for each in bins]
        lower.bar(beside, [each.count for each in bins], width=width)
    upper.set_ylabel("share that was in a leak")
    upper.set_ylim(-0.02, 1.02)
    upper.set_title("Twenty moments of each run")
    upper.legend()
    lower.set_yscale("log")
    lower.set_ylabel("moments")
    lower.set_xlabel("risk")
    figure.tight_layout()
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)
