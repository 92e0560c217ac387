"""Let programs that leak for known reasons run, and see whether the evidence names the reason.

    python benchmarks/evidence/run.py                        all of them, into README.md
    python benchmarks/evidence/run.py --only sessions_dict   one, to the terminal
    python benchmarks/evidence/run.py --repeat 3 --keep /tmp/exam
    python benchmarks/evidence/run.py --objects 1000000      in larger services, to the terminal

Linux. Five programs at a time.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Final

import report
from sitting import sit
from truths import TRUTHS

sys.path.append(str(Path(__file__).parents[1]))
from environment import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sitting import Sitting
    from truths import Truth

README: Final = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"


def arguments() -> argparse.Namespace:
    """Return the parsed command line."""
    names = [truth.program for truth in TRUTHS]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=names, metavar="NAME")
    parser.add_argument("--part", choices=("tuning", "holdout", "both"), default="both")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="each program N times")
    parser.add_argument("--jobs", type=int, default=5, help="programs at a time")
    parser.add_argument("--objects", type=int, default=0, metavar="N", help="besides, in each heap")
    parser.add_argument("--pause", default="0.05", metavar="SECONDS", help="see the settings")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep snapshots and outputs")
    return parser.parse_args()


def examine(truths: Sequence[Truth], options: argparse.Namespace) -> list[Sitting]:
    """Return a sitting a program and repetition, in the order of the programs."""
    plan = [*itertools.product(range(options.repeat), truths)]
    done: dict[tuple[int, str], Sitting] = {}
    with ThreadPoolExecutor(options.jobs) as pool:
        sittings = {
            pool.submit(
                sit,
                truth,
                options.keep and options.keep / str(turn),
                options.objects,
                OTEL_PYTHON_MEMORY_EVIDENCE_PAUSE_SECONDS=options.pause,
            ): (turn, truth)
            for turn, truth in plan
        }
        for each in as_completed(sittings):
            turn, truth = sittings[each]
            done[turn, truth.program] = each.result()
            print(report.line(each.result()), flush=True)
    return [done[turn, truth.program] for truth in truths for turn in range(options.repeat)]


def figures(sittings: Sequence[Sitting], minutes: float) -> str:
    """Return everything that was measured, as Markdown."""
    parts = []
    titles = {
        "tuning": "Programs that the investigation was built with",
        "holdout": "Programs that were written after it was built",
    }
    for part, title in titles.items():
        some = [sitting for sitting in sittings if sitting.truth.part == part]
        if some:
            parts += [f"### {title}", report.summary(some), report.table(some)]
    parts += ["### What each kind of evidence cost", report.costs(sittings)]
    return "\n\n".join([*parts, describe(minutes)])


def write(text: str) -> None:
    """Replace the figures in README.md, between its markers."""
    whole = README.read_text(encoding="utf-8")
    before, _, rest = whole.partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Run what the command line asks for."""
    options = arguments()
    began = time.monotonic()
    wanted = [
        truth
        for truth in TRUTHS
        if options.part in ("both", truth.part)
        and (not options.only or truth.program in options.only)
    ]
    sittings = examine(wanted, options)
    text = figures(sittings, (time.monotonic() - began) / 60)
    if options.only or options.part != "both" or options.objects:
        print(text)
    else:
        write(text)
        print(f"written: {README}")


if __name__ == "__main__":
    main()
