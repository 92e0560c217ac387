"""Runs one program as `python -m PACKAGE` would, with a witness beside it.

opentelemetry-instrument python host.py PACKAGE WITNESS_FILE [OBJECTS]

OBJECTS are that many small ones that the garbage collector knows, as a service has that is larger.
"""

from __future__ import annotations

import runpy
import sys

import witness


def main() -> None:
    """Start the witness, then become the program."""
    package, file, *objects = sys.argv[1:]
    sys.argv = [package]
    ballast: list[list[object]] = [[] for _ in range(int(objects[0]) if objects else 0)]
    witness.start(file)
    runpy.run_module(package, run_name="__main__", alter_sys=True)
    del ballast


if __name__ == "__main__":
    main()
