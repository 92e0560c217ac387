"""Run the detector and its rivals over the labelled catalogue and print how they did.

    python benchmarks/detection/evaluate.py                       everything, all judges
    python benchmarks/detection/evaluate.py --half test --robustness
    python benchmarks/detection/evaluate.py --only ok_teeth_few   one series, every judge
    python benchmarks/detection/evaluate.py --plot leak_teeth_run drawn to leak_teeth_run.png

`scoring.py` says in words what counts as found, as false and as late.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import random_series
import report
import rule_file
from judges import DETECTOR, DetectorUnavailableError, new_detector, run
from rivals import RIVALS
from scoring import Outcome, figures
from series import labels
from transforms import TRANSFORMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from series import Label

    Results = dict[tuple[str, str | None], list[tuple[Label, Outcome]]]


README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- scores:begin -->", "<!-- scores:end -->"


def arguments() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", choices=("tuning", "test", "random", "all"), default="all")
    parser.add_argument("--judge", action="append", choices=(DETECTOR, *rule_file.JUDGES, *RIVALS))
    parser.add_argument("--detector-only", action="store_true")
    parser.add_argument("--robustness", action="store_true", help="also under every transform")
    parser.add_argument("--only", action="append", metavar="NAME", help="these series, one by one")
    parser.add_argument("--plot", metavar="NAME", help="draw one series with the detector's risk")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--markdown", action="store_true", help="the README's table, nothing else")
    parser.add_argument("--write", action="store_true", help="also into README.md beside this file")
    parser.add_argument("--json", metavar="FILE", help="also write every figure to a file")
    return parser.parse_args()


def judges_of(options: argparse.Namespace) -> list[str]:
    """Return the judges to ask; without a detector, its rivals."""
    every = [DETECTOR, *rule_file.JUDGES, *RIVALS]
    names = options.judge or ([DETECTOR] if options.detector_only else every)
    if DETECTOR in names:
        try:
            new_detector()
        except DetectorUnavailableError as error:
            print(f"no detector to judge: {error}", file=sys.stderr)
            names = [name for name in names if name != DETECTOR]
    return names


def evaluate(jobs: Sequence[tuple[str, str | None, Label]], workers: int) -> Results:
    """Return the outcomes by judge and transform."""
    by_name = {label.name: label for _, _, label in jobs}
    results: Results = {}
    with ProcessPoolExecutor(workers) as pool:
        for judge, transform, name, outcome in pool.map(run, jobs, chunksize=8):
            if outcome is not None:
                results.setdefault((judge, transform), []).append((by_name[name], outcome))
    return results


def ask_rules(wanted: Sequence[Label], judges: Sequence[str]) -> Results:
    """Return how the recording rules did; nothing, and the reason told, without Prometheus."""
    if not wanted:
        return {}
    try:
        return {(judge, None): rule_file.outcomes(wanted, judge) for judge in judges}
    except rule_file.RulesUnavailableError as error:
        print(f"{rule_file.JUDGE} are left out: {error}", file=sys.stderr)
        return {}


def chosen(options: argparse.Namespace) -> list[Label]:
    """Return the labels to judge."""
    known = (*labels(), *random_series.labels())
    if options.only:
        unknown = set(options.only) - {label.name for label in known}
        if unknown:
            sys.exit(f"no such series: {', '.join(sorted(unknown))}")
        return [label for label in known if label.name in options.only]
    return [label for label in known if options.half in {label.half, "all"}]


def write(table: str, everything: str) -> None:
    """Replace the figures in README.md, between its markers."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    figures = f"{table}\n\n```text\n{everything}\n```"
    README.write_text(f"{before}{BEGIN}\n{figures}\n{END}{after}", encoding="utf-8")


def draw_curve(results: Results) -> None:
    """Draw how far the detector's risk can be believed, beside README.md."""
    from plot import draw_reliability  # noqa: PLC0415  matplotlib only when a picture is asked for

    moments: dict[str, list[tuple[float, bool]]] = {}
    for label, outcome in results.get((DETECTOR, None), []):
        moments.setdefault(label.half, []).extend(outcome.moments)
    draw_reliability(README.with_name("reliability.png"), moments)


def main() -> None:
    """Judge what the command line asks for."""
    options = arguments()
    if options.plot:
        from plot import draw  # noqa: PLC0415  matplotlib only when a picture is asked for

        print(draw(options.plot))
        return
    began = time.monotonic()
    wanted, judges = chosen(options), judges_of(options)
    one_by_one = [judge for judge in judges if judge not in rule_file.JUDGES]
    jobs: list[tuple[str, str | None, Label]] = [
        (judge, None, label) for judge in one_by_one for label in wanted
    ]
    if options.robustness:
        moved = [DETECTOR] if DETECTOR in judges else one_by_one
        jobs += [
            (j, name, label)
            for j in moved
            for name in TRANSFORMS
            for label in wanted
            if label.half != "random"
        ]
    results = evaluate(jobs, options.jobs)
    recorded = [label for label in wanted if label.half != "random"]
    results |= ask_rules(recorded, [judge for judge in judges if judge in rule_file.JUDGES])
    judges = [judge for judge in judges if (judge, None) in results]
    if not judges:
        sys.exit(1)
    if options.only:
        print(report.each_series(results, judges))
    elif options.markdown:
        half = [(j, [o for lb, o in results[j, None] if lb.half == "test"]) for j in judges]
        print(report.comparison(half, markdown=True))
    else:
        text = report.everything(results, judges)
        print(text)
        if options.write:
            half = [(j, [o for lb, o in results[j, None] if lb.half == "test"]) for j in judges]
            write(report.comparison(half, markdown=True), text)
            draw_curve(results)
        print(f"{time.monotonic() - began:.0f} s on {options.jobs} processes")
    if options.json:
        lines = [
            {"judge": judge, "transform": transform, "half": half, **asdict(figures(outcomes))}
            for (judge, transform), pairs in results.items()
            for half in ("tuning", "test", "random")
            if (outcomes := [outcome for label, outcome in pairs if label.half == half])
        ]
        with open(options.json, "w", encoding="utf-8") as file:  # noqa: PTH123  a user's path
            json.dump(lines, file, indent=1)


if __name__ == "__main__":
    main()
