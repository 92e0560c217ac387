from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.instrumentation.memory import MemoryInstrumentor

directory = Path(sys.argv[1])
MemoryInstrumentor().instrument(
    meter_provider=MeterProvider(shutdown_on_exit=False),
    max_interval_seconds=3600,
    evidence_budget_percent=100,
    snapshot_directory=directory,
    snapshot_signal=True,
)
if "fork" in sys.argv:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        MemoryInstrumentor().uninstrument()
        sys.exit()
time.sleep(0.2)
os.kill(os.getpid(), signal.SIGUSR2)
# An answer that is unsure waits a minute for requests, of which there are none here.
deadline = time.monotonic() + 200
while not list(directory.glob("*.json")):
    assert time.monotonic() < deadline
    time.sleep(0.05)
MemoryInstrumentor().uninstrument()
print(os.getpid(), signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="this platform has no SIGUSR2")
@pytest.mark.parametrize("mode", ["alone", "fork"])
def test_signal_makes_the_process_that_gets_it_look_at_itself_at_once(
    mode: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), mode],
        capture_output=True,
        text=True,
        check=True,
        timeout=250,
        env={**os.environ, "OTEL_SERVICE_NAME": "shop"},
    )
    pid, is_restored = done.stdout.split()
    (file,) = tmp_path.glob("*.json")
    document = json.loads(file.read_text())
    assert document["reason"] == "signal"
    assert document["process"]["pid"] == int(pid)
    assert document["evidence"] is not None
    assert is_restored == "True"
