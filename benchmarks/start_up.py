"""What importing the package and `instrument()` take, in time and in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import MEBIBYTES, MILLI, Effort, Line

TITLE = "Start-up"

_SCRIPT = Path(__file__).with_name("start_up_once.py")


def measure(effort: Effort) -> list[Line]:
    """Return milliseconds and mebibytes on top of `opentelemetry.instrumentation`."""
    rows = [_once() for _ in range(3 * effort.processes)]
    import_seconds, instrument_seconds, import_bytes, instrument_bytes = zip(*rows, strict=True)
    seconds = [sum(pair) for pair in zip(import_seconds, instrument_seconds, strict=True)]
    resident = [sum(pair) for pair in zip(import_bytes, instrument_bytes, strict=True)]
    return [
        Line("import and `instrument()`", [MILLI * each for each in seconds], "ms", 60),
        Line("of these, the import", [MILLI * each for each in import_seconds], "ms"),
        Line("resident growth by both", [MEBIBYTES * each for each in resident], "MiB", 4),
        Line("of it, by the import", [MEBIBYTES * each for each in import_bytes], "MiB"),
    ]


def _once() -> tuple[float, ...]:
    output = subprocess.run(
        [sys.executable, str(_SCRIPT)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return tuple(float(word) for word in output.split())
