"""`opentelemetry-memory doctor`: which sources work here, what they cost, and what is absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace, _SubParsersAction


def add_parser(commands: _SubParsersAction) -> None:  # type: ignore[type-arg] # no public type
    """Add this command's options."""
    parser = commands.add_parser("doctor", help="show which memory sources work on this platform")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(_: Namespace) -> int:
    """Run the command and return its exit code."""
    return 0
