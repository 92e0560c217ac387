"""Record the programs of `programs/` as they run: resident set from outside, heaps from inside.

    python benchmarks/detection/record.py [NAME ...]     then: make_series.py

Linux with psutil 7.2 or newer; about ten minutes, two programs at a time. Writes
`catalogue/proc_NAME.csv.gz` and the entry in `catalogue/recorded.json`.
"""

from __future__ import annotations

import ast
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from make_series import CATALOGUE, write_csv

PROGRAMS = Path(__file__).with_name("programs")
EVERY_SECONDS = 0.25
MIB = 1 << 20


def watch(program: subprocess.Popen[bytes]) -> list[tuple[float, int]]:
    """Return (clock, resident bytes) until the program ends."""
    outside = psutil.Process(program.pid)
    seen = []
    due = time.monotonic()
    while program.poll() is None:
        due += EVERY_SECONDS
        time.sleep(max(0.005, due - time.monotonic()))
        try:
            seen.append((time.monotonic(), outside.memory_info().rss))
        except psutil.NoSuchProcess:
            break
    program.wait()
    return [(moment, resident) for moment, resident in seen if resident]


def record(plan: dict[str, object], seed: int) -> dict[str, object]:
    """Run one program, write its series, and return its manifest entry."""
    name = str(plan["name"])
    path = PROGRAMS / f"{name}.py"
    duration = float(str(plan["duration"]))
    limit = int(str(plan["limit_mib"])) * MIB
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / "inside.csv"
        command = [sys.executable, str(path), "--inside", str(inside)]
        command += ["--duration", str(duration), "--seed", str(seed)]
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        begin = time.monotonic()
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment) as program:
            outside = watch(program)
        if program.returncode:
            raise RuntimeError(f"{name} ended with {program.returncode}")
        with inside.open(newline="") as file:
            known = list(csv.DictReader(file))
        mark = inside.with_suffix(".mark")
        leak_start = round(float(mark.read_text()) - begin, 2) if mark.exists() else None
    rows = []
    latest = 0
    for moment, resident in outside:
        if moment - begin > duration or float(known[0]["clock"]) > moment:
            continue
        while latest + 1 < len(known) and float(known[latest + 1]["clock"]) <= moment + 0.01:
            latest += 1
        row = known[latest]
        heaps = f"{row['heap_used']},{row['heap_committed']},{row['native_used']}"
        rows.append(f"{moment - begin:.3f},{resident},{heaps},{limit}")
    write_csv(CATALOGUE / f"proc_{name}.csv.gz", rows)
    print(f"{name}: {len(rows)} rows, {outside[0][1] / MIB:.1f} to {outside[-1][1] / MIB:.1f} MiB")
    return {
        "name": f"proc_{name}",
        "file": f"proc_{name}.csv.gz",
        "source": "process",
        "truth": plan["truth"],
        "class": plan["class"],
        "program": name,
        "half": plan["half"],
        "leak_start_s": leak_start if plan["truth"] == "leak" else None,
        "leak_stop_s": None,
        "segment": plan["segment"],
        "duration_s": float(rows[-1].partition(",")[0]),
        "interval_s": EVERY_SECONDS,
        "points": len(rows),
        "notes": ast.get_docstring(ast.parse(path.read_text())),
    }


def main() -> None:
    """Record the programs named on the command line, or all of them, two at a time."""
    plans = json.loads((PROGRAMS / "plan.json").read_text())
    wanted = [plan for plan in plans if not sys.argv[1:] or plan["name"] in sys.argv[1:]]
    path = CATALOGUE / "recorded.json"
    entries = {e["name"]: e for e in json.loads(path.read_text())} if path.exists() else {}
    with ThreadPoolExecutor(2) as pool:
        for entry in pool.map(record, wanted, [100 + plans.index(plan) for plan in wanted]):
            entries[entry["name"]] = entry
    text = "[\n" + ",\n".join(json.dumps(entry) for entry in entries.values()) + "\n]\n"
    path.write_text(text)


if __name__ == "__main__":
    main()
