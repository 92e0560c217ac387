"""Runs what builds or fetches a tool: its output in a log, and no silence on the screen."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.toolbox.tool import ToolUnavailableError, say

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP_SECONDS = 15
GIVE_UP_SECONDS = 40 * 60
LINES_SHOWN = 12


def run(command: Sequence[str], log: Path, *, cwd: Path, env: dict[str, str] | None = None) -> None:
    """Run a command to its end, its output in the log, with a sign of life every few seconds."""
    name = Path(command[0]).name
    started = time.monotonic()
    with log.open("a", encoding="utf-8") as output:
        # A session of its own, so that the compilers it starts end with it.
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STEP_SECONDS)
                continue
            seconds = time.monotonic() - started
            say(log.parent.name, f"{name} is still running, {seconds:.0f} s")
            if seconds > GIVE_UP_SECONDS:
                raise ToolUnavailableError(f"{name} was not done after {seconds:.0f} s")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines[-LINES_SHOWN:]:
            say(log.parent.name, f"  {line}")
        last = lines[-1].strip() if lines else "no output"
        raise ToolUnavailableError(f"{name} failed ({last}); all of its output is in {log}")
