"""Run the same service in every language, healthy and leaking, and see them side by side.

Each of them goes through the collector, which makes one family of metrics of what they send, to
the watch and to Prometheus with the recording rules, which both judge each process. All of it is on
loopback, and ends with this program.
"""
# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fleet_table import Fleet, table
from languages import LANGUAGES, tools
from running import Pipeline
from scripts.make_leak_rules import ONE_WINDOW
from visitors import visitors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

REPORT_SECONDS = 15
CONFIRMED = {"risk": 0.9, "by rule": ONE_WINDOW}
# Metrics come a hundred times as often as usual, so that a verdict takes minutes. That does not
# shorten the warm-up of a runtime, which would be most of what the watch and the rules see.
WARM_UP_SECONDS = 75


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what can be built, run all of it, print what Prometheus knows of it."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    starters, left_out = _starters(options.languages)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-"))
        try:
            pipeline = Pipeline(stack, Path(folder))
        except tools.ToolUnavailableError as error:
            print(f"cannot run: {error}", file=sys.stderr)
            return 1
        urls = pipeline.start_services(starters)
        stack.enter_context(visitors(urls, options.visits_per_second))
        fleet = Fleet(pipeline.url, list(urls))
        print(f"{len(urls)} services; Prometheus: {pipeline.url}", flush=True)
        _look(fleet, options, pipeline.start_judges)
    for name, reason in left_out.items():
        print(f"{name} was left out: {reason}")
    if options.json:
        print(json.dumps({"services": fleet.seen, "left_out": left_out}))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300, help="how long (default: 300)")
    parser.add_argument(
        "--visits-per-second", type=float, default=10, help="to each service (default: 10)"
    )
    parser.add_argument(
        "--until-confirmed",
        action="store_true",
        help="end when every leaking twin is confirmed, by both",
    )
    parser.add_argument(
        "--afterwards",
        type=float,
        default=0,
        metavar="SECONDS",
        help="with --until-confirmed, go on for so long: are healthy twins quiet? (default: 0)",
    )
    parser.add_argument("--json", action="store_true", help="print what was seen, as the last line")
    names = [each.name for each in LANGUAGES]
    parser.add_argument("languages", nargs="*", help=f"of {', '.join(names)} (default: all)")
    options = parser.parse_args(arguments)
    unknown = sorted({*options.languages} - {*names})
    if unknown:
        parser.error(f"no such language: {', '.join(unknown)}; there are {', '.join(names)}")
    return options


def _starters(names: Sequence[str]) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the starter of each language that can be built here, and why the others cannot."""
    starters, left_out = {}, {}
    for each in LANGUAGES:
        if names and each.name not in names:
            continue
        try:
            starters[each.name] = each.starter()
        except tools.ToolUnavailableError as error:
            left_out[each.name] = str(error)
            print(f"{each.name} is left out: {error}", flush=True)
    return starters, left_out


def _look(fleet: Fleet, options: argparse.Namespace, start_judges: Callable[[], None]) -> None:
    """Print the fleet from time to time until the end; judging starts after the warm-up."""
    warm_up_seconds = min(WARM_UP_SECONDS, options.seconds / 3)
    is_judged = False
    report_at = REPORT_SECONDS
    end_at = options.seconds
    is_confirmed = False
    for seconds in _each_second(options.seconds + options.afterwards):
        if seconds >= warm_up_seconds and not is_judged:
            is_judged = True
            start_judges()
            print(f"\nthe watch and the rules start after {seconds:.0f} s", flush=True)
        fleet.look()
        if options.until_confirmed and not is_confirmed and _is_every_leak_confirmed(fleet):
            is_confirmed, end_at = True, seconds + options.afterwards
        if seconds >= end_at:
            break
        if seconds >= report_at:
            report_at += REPORT_SECONDS
            print(f"\nafter {seconds:.0f} s\n{table(fleet)}", flush=True)
    print(f"\nat the end\n{table(fleet)}", flush=True)
    if not any(_is_confirmed(each) for each in fleet.seen.values()):
        print("no verdict by now: that takes about 300 seconds", flush=True)


def _each_second(total_seconds: float) -> Iterator[float]:
    """Yield how many seconds have passed, once a second."""
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < total_seconds:
        yield passed
        time.sleep(min(1.0, total_seconds - passed))


def _is_every_leak_confirmed(fleet: Fleet) -> bool:
    return all(_is_confirmed(each) for name, each in fleet.seen.items() if name.endswith("leaking"))


def _is_confirmed(seen: Mapping[str, float]) -> bool:
    return all(seen.get(of, 0) >= risk for of, risk in CONFIRMED.items())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
