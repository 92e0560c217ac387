"""Measures everything, prints it, and rewrites the results in README.md.

    python benchmarks/run.py                    # all of it, about 10 minutes
    python benchmarks/run.py sample node        # some subjects, printed only
    python benchmarks/run.py --quick            # fewer and shorter runs, printed only

The exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

from environment import describe
from harness import FULL, QUICK, Line

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- results begin -->", "<!-- results end -->"
SUBJECTS = (
    "sample",
    "node",
    "free_chunks",
    "collection",
    "quiet",
    "wake_up",
    "start_up",
    "own_memory",
    "request_path",
)
_HEADER = ("what", "median", "smallest to largest", "processes", "bar", "")


def main() -> int:
    """Run the chosen subjects and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("subject", nargs="*", help="default: all")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    chosen = parser.parse_args()
    started = time.monotonic()
    sections, missed = [], []
    for name in chosen.subject or SUBJECTS:
        subject = import_module(name)
        began = time.monotonic()
        lines = subject.measure(QUICK if chosen.quick else FULL)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        section = f"### {subject.TITLE}\n\n{table(lines)}"
        print(f"\n{section}\n", flush=True)
        sections.append(section)
        missed += [line for line in lines if "FAIL" in line.verdict]
    minutes = (time.monotonic() - started) / 60
    if not chosen.subject and not chosen.quick:
        rewrite(README, f"{describe(minutes)}\n\n" + "\n\n".join(sections))
    for line in missed:
        print(f"missed: {line.what}: {line.cells()[1]}, bar {line.cells()[4]}", file=sys.stderr)
    return 1 if missed else 0


def table(lines: list[Line]) -> str:
    """Return the lines as a Markdown table."""
    rows = [
        _HEADER,
        ("---", "---:", "---:", "---:", "---:", "---"),
        *(each.cells() for each in lines),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def rewrite(readme: Path, results: str) -> None:
    """Put the results between the markers."""
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n\n{results}\n\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
