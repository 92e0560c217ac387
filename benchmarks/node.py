"""Resident set size and malloc, beside what Node.js asks of itself, in the same run."""

from __future__ import annotations

import json
import shutil
import subprocess

from harness import MICRO, Effort, Line, column, fresh, ratios, seconds_per_call

from opentelemetry.instrumentation.memory._probes import platform_probes

TITLE = "Beside Node.js"

_SCRIPT = """
const batches = 21, calls = 5000;
function secondsPerCall(call) {
  const seconds = [];
  for (let batch = 0; batch < batches; batch++) {
    const started = process.hrtime.bigint();
    for (let i = 0; i < calls; i++) call();
    seconds.push(Number(process.hrtime.bigint() - started) / 1e9 / calls);
  }
  return seconds.sort((a, b) => a - b)[(batches - 1) / 2];
}
secondsPerCall(() => process.memoryUsage());
console.log(JSON.stringify({
  memoryUsage: secondsPerCall(() => process.memoryUsage()),
  rss: secondsPerCall(() => process.memoryUsage.rss()),
}));
"""


def measure(effort: Effort) -> list[Line]:
    """Return our cost, Node's, and the ratios, from processes that take turns."""
    program = shutil.which("node")
    if program is None:
        reason = "no `node` on PATH"
        return [Line("statm + mallinfo2 / `process.memoryUsage()`", (), "", 1.0, reason)]
    ours, theirs = [], []
    for _ in range(effort.processes):
        ours.append(fresh(resident_and_malloc))
        output = subprocess.run([program, "-e", _SCRIPT], check=True, stdout=subprocess.PIPE)
        theirs.append(json.loads(output.stdout))
    our_column = column(ours, "seconds", MICRO)
    lines = [Line("statm + mallinfo2", our_column, "µs")]
    for key, name in (
        ("memoryUsage", "process.memoryUsage()"),
        ("rss", "process.memoryUsage.rss()"),
    ):
        their_column = column(theirs, key, MICRO)
        lines.append(Line(f"`{name}`", their_column, "µs"))
        lines.append(
            Line(
                f"statm + mallinfo2 / `{name}`",
                ratios(our_column, their_column),
                "times",
                1.0 if key == "memoryUsage" else None,
            )
        )
    return lines


def resident_and_malloc() -> dict[str, float]:
    """Return seconds for the two reads together."""
    probes = platform_probes()

    def read() -> None:
        probes.resident.read()
        probes.native.read()

    return {"seconds": seconds_per_call(read)}
