"""`opentelemetry-memory snapshot`: shows what a process has written about its leak."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.snapshot import diff, layout, show
from opentelemetry.instrumentation.memory._commands.snapshot.reading import (
    STANDARD_INPUT,
    SnapshotError,
    read,
)

if TYPE_CHECKING:
    from argparse import Namespace, _SubParsersAction

_EXIT_BAD_INPUT: Final = 2
_EXIT_CODES: Final = """\
Exit code 0 when a snapshot was shown, and 2 for a file that is no snapshot, of an unknown version
or damaged: the field and what was expected there are on standard error. '-' is standard input."""


def add_parser(commands: _SubParsersAction) -> None:  # type: ignore[type-arg] # no public type
    """Add this command's options."""
    parser = commands.add_parser(
        "snapshot",
        help="show or compare what a process has written about its leak",
        description="Show or compare snapshots, which a process writes to snapshot_directory.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser(
        "show",
        help="show one: verdict, answer, evidence, segments, cost",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument("file", metavar="FILE")
    one.add_argument("--json", action="store_true", help="print the document, with indents")
    one.set_defaults(run=run_show)
    two = actions.add_parser(
        "diff",
        help="compare two: what grew between them",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    two.add_argument("first", metavar="A", help="the earlier one")
    two.add_argument("second", metavar="B", help="the later one")
    two.set_defaults(run=run_diff)


def run_show(options: Namespace) -> int:
    """Show one snapshot and return the exit code."""
    try:
        document = read(options.file)
    except SnapshotError as error:
        return _refuse("show", str(error))
    if options.json:
        return _printed(f"{json.dumps(document, indent=2)}\n")
    return _printed(show.sections(document))


def run_diff(options: Namespace) -> int:
    """Compare two snapshots and return the exit code."""
    if options.first == options.second == STANDARD_INPUT:
        return _refuse("diff", "standard input can be read once only")
    try:
        documents = read(options.first), read(options.second)
    except SnapshotError as error:
        return _refuse("diff", str(error))
    return _printed(diff.sections(*documents))


def _printed(shown: str | list[layout.Section]) -> int:
    try:
        if isinstance(shown, str):
            sys.stdout.write(shown)
        else:
            layout.show(shown)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has had enough; without this, closing the output would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _refuse(action: str, why: str) -> int:
    sys.stderr.write(f"opentelemetry-memory snapshot {action}: {why}\n")
    return _EXIT_BAD_INPUT
