"""The command `opentelemetry-memory`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._commands import analyze, demo, doctor, snapshot, watch
from opentelemetry.instrumentation.memory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = (analyze, demo, doctor, snapshot, watch)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="opentelemetry-memory",
        description="Where every byte of a Python process is.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed))
