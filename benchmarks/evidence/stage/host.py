"""Runs one program as `python -m PACKAGE` would, with a witness beside it.

opentelemetry-instrument python host.py PACKAGE WITNESS_FILE
"""

from __future__ import annotations

import runpy
import sys

import witness


def main() -> None:
    """Start the witness, then become the program."""
    package, file = sys.argv[1:]
    sys.argv = [package]
    witness.start(file)
    runpy.run_module(package, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
