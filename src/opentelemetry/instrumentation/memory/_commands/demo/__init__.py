"""`opentelemetry-memory demo`: a sample service's memory, live in the terminal.

A web service (Flask under gunicorn) is started under `opentelemetry-instrument`; its exporter sends
to a receiver in this process, on loopback. What is shown is what has arrived over OTLP.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from argparse import Namespace, _SubParsersAction

_LONGEST_SECONDS: Final = 86400.0
_EXTRA_MODULES: Final = (
    "flask",
    "gunicorn",
    "opentelemetry.distro",
    "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry.proto",
    "rich",
)
_EXIT_MISSING: Final = 2


def add_parser(commands: _SubParsersAction) -> None:  # type: ignore[type-arg] # no public type
    """Add this command's options."""
    parser = commands.add_parser(
        "demo",
        help="watch a sample service's memory in the terminal",
        description=(
            "Start a sample web service under opentelemetry-instrument and show, live, where its "
            "memory is, as received over OTLP. Uses about 500 MB of memory; needs no network but "
            "loopback. Without a terminal it prints one line for each export."
        ),
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=60.0, metavar="N", help="how long (default: 60)"
    )
    parser.add_argument("--no-color", action="store_true", help="show everything in one color")
    parser.set_defaults(run=run)


def missing_modules() -> tuple[str, ...]:
    """Return the modules of the `demo` extra that are not installed."""
    return tuple(name for name in _EXTRA_MODULES if not _is_installed(name))


def run(options: Namespace) -> int:
    """Run the command and return its exit code."""
    missing = missing_modules()
    if missing:
        sys.stderr.write(
            f"The demo needs {', '.join(missing)}. "
            "Install it with: pip install 'opentelemetry-instrumentation-memory[demo]'\n"
        )
        return _EXIT_MISSING
    # Only the demo needs what its modules import.
    from opentelemetry.instrumentation.memory._commands.demo.show import show  # noqa: PLC0415

    return show(options.seconds, has_color=not options.no_color)


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of a parent package
        return False


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= _LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected seconds between 1 and {_LONGEST_SECONDS:g}"
        )
    return seconds
