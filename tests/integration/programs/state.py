"""Prints what the instrumentation of this process is like, as one line of JSON."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any


def state() -> dict[str, Any]:
    found: dict[str, Any] = {"pid": os.getpid(), "threads": [t.name for t in threading.enumerate()]}
    found["resident"] = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    found["is_imported"] = "opentelemetry.instrumentation.memory._instrumentor" in sys.modules
    if found["is_imported"]:
        from opentelemetry.instrumentation.memory import MemoryInstrumentor  # noqa: PLC0415

        runtime = MemoryInstrumentor()._runtime
        found["is_instrumented"] = MemoryInstrumentor().is_instrumented_by_opentelemetry
        found["config"] = None if runtime is None else dataclasses.asdict(runtime._config)
    found["others"] = {name: _is_instrumented(name) for name in ("Flask", "FastAPI")}
    return found


def _is_instrumented(library: str) -> bool:
    module = sys.modules.get(f"opentelemetry.instrumentation.{library.lower()}")
    if module is None:
        return False
    instrumentor = getattr(module, f"{library}Instrumentor")
    return bool(instrumentor().is_instrumented_by_opentelemetry)


def flush_five_times() -> None:
    from opentelemetry.metrics import get_meter_provider  # noqa: PLC0415

    logging.disable()
    for _ in range(5):
        get_meter_provider().force_flush()


if __name__ == "__main__":
    before = state()
    if "flush" in sys.argv:
        flush_five_times()
    if "track" in sys.argv:
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()
    sys.stdout.write(json.dumps([before, state()]) + "\n")
    sys.stdout.flush()
    if "stay" in sys.argv:
        threading.Event().wait()
