"""`opentelemetry-memory doctor`: which sources work here, what they cost, and what is absent."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._commands.doctor.examine import examine
from opentelemetry.instrumentation.memory._commands.doctor.text import text

if TYPE_CHECKING:
    from argparse import Namespace, _SubParsersAction


def add_parser(commands: _SubParsersAction) -> None:  # type: ignore[type-arg] # no public type
    """Add this command's options."""
    parser = commands.add_parser(
        "doctor",
        help="show which memory sources work on this platform",
        description=(
            "Show which memory sources work on this platform, what each costs, what is absent and "
            "why, which limits and settings are in force, and whether opentelemetry-instrument "
            "would load the instrumentor. Exit code 1 when the resident set cannot be read."
        ),
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object; sizes in bytes")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the command and return its exit code."""
    report = examine(os.environ)
    shown = json.dumps(asdict(report), indent=2) if options.json else text(report)
    sys.stdout.write(f"{shown}\n")
    return 0 if report.has_resident_set else 1
