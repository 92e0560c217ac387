"""A snapshot as a file: read, and trusted only after it was held against the schema."""

from __future__ import annotations

import json
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from opentelemetry.instrumentation.memory._commands.analyze.problems import printable, quoted
from opentelemetry.instrumentation.memory._commands.snapshot.validation import Mismatch, check

STANDARD_INPUT: Final = "-"
# A document has a quarter at most; printed with indents it has more.
_MOST_BYTES: Final = 2**20
_FAMILY: Final = "process-memory-snapshot/"
_RESPONDERS: Final = "opentelemetry.instrumentation.memory.responders"


class SnapshotError(Exception):
    """A file is no snapshot that can be read; the message says which field, and what is wrong."""


@cache
def schema() -> dict[str, Any]:
    """Return the schema that is published with the package."""
    text = (files(_RESPONDERS) / "process-memory-snapshot-1.json").read_text("utf-8")
    return dict(json.loads(text))


def read(name: str) -> dict[str, Any]:
    """Return the document in a file, or on standard input.

    Raises:
        SnapshotError: There is none.
    """
    try:
        return parse(_content(name))
    except SnapshotError as error:
        shown = "standard input" if name == STANDARD_INPUT else printable(name)
        raise SnapshotError(f"{shown}: {error}") from None


def parse(content: bytes) -> dict[str, Any]:
    """Return the document in these bytes.

    Raises:
        SnapshotError: There is none.
    """
    if not content.strip():
        raise SnapshotError("found nothing, expected a snapshot; it is empty")
    if len(content) > _MOST_BYTES:
        raise SnapshotError(f"found more than {_MOST_BYTES} bytes, expected a snapshot")
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SnapshotError("found binary data, expected JSON") from None
    except json.JSONDecodeError as error:
        found = "no JSON" if error.pos == 0 else "JSON that is damaged or was cut off"
        where = f"line {error.lineno}, column {error.colno}"
        raise SnapshotError(f"{where}: found {found}, expected a snapshot") from None
    except (ValueError, RecursionError):
        # A number of thousands of digits, or brackets within brackets.
        raise SnapshotError("found JSON beyond all bounds, expected a snapshot") from None
    _check_version(value)
    try:
        check(value, schema())
    except Mismatch as mismatch:
        raise SnapshotError(str(mismatch)) from None
    return dict(value)


def _check_version(value: Any) -> None:
    expected = schema()["properties"]["schema"]["const"]
    if not isinstance(value, dict) or "schema" not in value:
        raise SnapshotError(f"schema: found nothing, expected {expected}; this is no snapshot")
    found = value["schema"]
    if found == expected:
        return
    is_other_version = isinstance(found, str) and found.startswith(_FAMILY)
    hint = "another version of this package wrote it" if is_other_version else "no snapshot"
    raise SnapshotError(f"schema: found {quoted(found)}, expected {expected}; {hint}")


def _content(name: str) -> bytes:
    try:
        if name == STANDARD_INPUT:
            return sys.stdin.buffer.read(_MOST_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise SnapshotError(f"{reason[:1].lower()}{reason[1:]}, expected a file to read") from None
