"""`opentelemetry-memory analyze`: the leak detector over memory that was recorded before."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from opentelemetry.instrumentation.memory._commands.analyze import server
from opentelemetry.instrumentation.memory._commands.analyze.analysis import FORMATS, analyze
from opentelemetry.instrumentation.memory._commands.analyze.judgement import unreadable
from opentelemetry.instrumentation.memory._commands.analyze.opening import STANDARD_INPUT
from opentelemetry.instrumentation.memory._commands.analyze.progress import ProgressBar
from opentelemetry.instrumentation.memory._commands.analyze.table import show

if TYPE_CHECKING:
    from argparse import Namespace, _SubParsersAction
    from collections.abc import Callable, Sequence

    from opentelemetry.instrumentation.memory._commands.analyze.analysis import InputOutcome

T = TypeVar("T")
_EXIT_BAD_INPUT: Final = 2
_EXIT_INTERRUPTED: Final = 130
_DESCRIPTION: Final = """\
Run the leak detector over recorded memory: what it would have said, and when.

FILE is one of these, plain or gzip'd, and '-' is standard input:
  CSV         a header with the columns time_s (seconds, ascending) and rss (bytes), and any of
              heap_used, heap_committed, native_used, limit; an empty cell is unknown
  OTLP        JSON lines of the OpenTelemetry Collector's file exporter, each process apart
  Prometheus  an answer of /api/v1/query_range; series of unknown metrics count as resident set
or the address of a Prometheus server, http://host:9090, which is asked.

Exit code 0 when everything was analyzed, whatever the verdict, and 2 when an input was malformed:
what was wrong is on standard error, the rest is analyzed all the same."""
_EPILOG: Final = """\
--json prints for each series: leak (whether it ends confirmed), declared_at_s (when the present
leak was confirmed; of a series that no longer leaks, the first; else null), alarms_s (every time
that one was confirmed), segment, max_risk, growth_bytes_per_second (of all segments under
suspicion at the end), time_to_exhaustion_s and reason; "file" and "series" where there are several.
An input without any series that can be read is one object too; its reason says what is wrong.
"""


def add_parser(commands: _SubParsersAction) -> None:  # type: ignore[type-arg] # no public type
    """Add this command's options."""
    parser = commands.add_parser(
        "analyze",
        help="run the leak detector over recorded memory",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="recordings, or addresses")
    parser.add_argument("--json", action="store_true", help="print one JSON object a series")
    parser.add_argument("--plot", type=Path, metavar="OUT.png", help="draw; several as OUT-1.png …")
    parser.add_argument("--format", choices=FORMATS, help="of the files (default: looked at)")
    asking = parser.add_argument_group("asking a Prometheus server")
    asking.add_argument("--query", help="PromQL (default: the metrics of this package)")
    asking.add_argument(
        "--start", metavar="TIME", type=_argument(server.Start), default=server.Start("6h"),
        help="seconds since 1970, an RFC 3339 time, or how long before the end (default: 6h)",
    )  # fmt: skip
    asking.add_argument(
        "--end", metavar="TIME", type=_argument(server.moment), help="the same (default: now)"
    )
    asking.add_argument(
        "--step", metavar="DURATION", type=_argument(server.seconds), default=15.0,
        help="best the interval of its scrapes (default: 15s)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the command and return its exit code."""
    try:
        return _run(options)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return _EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read has had enough; without this, closing the output would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(options: Namespace) -> int:
    mistake = _mistake(options)
    if mistake is not None:
        sys.stderr.write(f"opentelemetry-memory analyze: {mistake}\n")
        return _EXIT_BAD_INPUT
    outcomes = []
    with ProgressBar() as progress:
        for name in options.inputs:
            source = _range_query(name, options) if server.is_address(name) else name
            outcome = analyze(
                source, options.format, progress.update, has_course=options.plot is not None
            )
            progress.clear()
            for line in outcome.problems.lines(outcome.name):
                sys.stderr.write(f"{line}\n")
            if options.json:
                _print_json(outcome, has_file=len(options.inputs) > 1)
            outcomes.append(outcome)
    if not options.json:
        show(outcomes)
    is_bad = any(each.problems.count for each in outcomes)
    is_drawn = options.plot is None or _draw(outcomes, options.plot)
    sys.stdout.flush()
    return _EXIT_BAD_INPUT if is_bad or not is_drawn else 0


def _mistake(options: Namespace) -> str | None:
    """Return what is wrong with the options as a whole, before anything is read."""
    addresses = [name for name in options.inputs if server.is_address(name)]
    if options.query and not addresses:
        return "--query needs the address of a Prometheus server"
    if options.inputs.count(STANDARD_INPUT) > 1:
        return "standard input can be read once only"
    if addresses:
        query = _range_query(addresses[0], options)
        if query.start >= query.end:
            return "--start must be before --end"
    if options.plot is not None:
        if importlib.util.find_spec("matplotlib") is None:
            return (
                "--plot needs matplotlib. "
                "Install it with: pip install 'opentelemetry-instrumentation-memory[plot]'"
            )
        if not options.plot.parent.is_dir():
            return f"--plot: {options.plot.parent} is no directory"
    return None


def _range_query(address: str, options: Namespace) -> server.RangeQuery:
    end = time.time() if options.end is None else options.end
    query = options.query or server.DEFAULT_QUERY
    return server.RangeQuery(address, query, options.start.before(end), end, options.step)


def _print_json(outcome: InputOutcome, *, has_file: bool) -> None:
    judged = [(each.series, each.judgement) for each in outcome.series]
    if not judged:
        judged = [("", unreadable("; ".join(outcome.problems.lines(outcome.name))))]
    for series, judgement in judged:
        keys = {"file": outcome.name} if has_file else {}
        if series:
            keys["series"] = series
        line = json.dumps({**keys, **judgement.to_json()}, allow_nan=False)
        sys.stdout.write(f"{line}\n")


def _draw(outcomes: Sequence[InputOutcome], path: Path) -> bool:
    # Only pictures need what this imports.
    from opentelemetry.instrumentation.memory._commands.analyze.plot import draw  # noqa: PLC0415

    drawn = [(each.name, series) for each in outcomes for series in each.series]
    for number, (name, series) in enumerate(drawn, 1):
        target = path if len(drawn) == 1 else path.with_stem(f"{path.stem}-{number}")
        try:
            draw(name, series, target)
        except (OSError, ValueError) as error:
            sys.stderr.write(f"{target}: cannot be drawn: {error}\n")
            return False
    return True


def _argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return a parser of an argument whose error says what was expected."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed
