"""Whether a million samples leave anything behind."""

from __future__ import annotations

import gc
import sys

from harness import MEBIBYTES, Effort, Line, column, fresh
from sampling import full_sample

from opentelemetry.instrumentation.memory._probes import platform_probes

TITLE = "Own memory over a million samples"


def measure(effort: Effort) -> list[Line]:
    """Return the resident growth, and that of live blocks, while samples are taken."""
    result = [fresh(growth, effort.flat_samples)]
    tenth = f"{effort.flat_samples // 10:,}"
    return [
        Line(
            f"resident growth, {tenth} samples (the history fills)",
            column(result, "filling", MEBIBYTES),
            "MiB",
            4,
        ),
        Line(
            f"resident growth from {tenth} to {effort.flat_samples:,} samples",
            column(result, "flat", MEBIBYTES),
            "MiB",
            0.1,
        ),
        Line(
            f"live blocks gained from {tenth} to {effort.flat_samples:,} samples",
            column(result, "blocks"),
            "blocks",
        ),
    ]


def growth(samples: int) -> dict[str, float]:
    """Return what is resident and live after all samples beyond what was after a tenth of them."""
    take = full_sample()
    resident = platform_probes().resident
    take()
    at_first = resident.read().resident_bytes
    for _ in range(samples // 10):
        take()
    gc.collect()
    at_tenth, blocks_at_tenth = resident.read().resident_bytes, sys.getallocatedblocks()
    for _ in range(samples - samples // 10):
        take()
    gc.collect()
    return {
        "filling": at_tenth - at_first,
        "flat": resident.read().resident_bytes - at_tenth,
        "blocks": sys.getallocatedblocks() - blocks_at_tenth,
    }
