"""`opentelemetry-memory demo`: a sample service's memory, live in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace, _SubParsersAction


def add_parser(commands: _SubParsersAction) -> None:  # type: ignore[type-arg] # no public type
    """Add this command's options."""
    parser = commands.add_parser("demo", help="watch a sample service's memory in the terminal")
    parser.set_defaults(run=run)


def run(_: Namespace) -> int:
    """Run the command and return its exit code."""
    return 0
