"""The example in docs/snapshot.md is a snapshot, and what is shown is what the command shows."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
from tests.snapshots import closed

from opentelemetry.instrumentation.memory._commands.snapshot import layout, show
from opentelemetry.instrumentation.memory._commands.snapshot.reading import parse, schema
from opentelemetry.instrumentation.memory.responders.snapshot import MOST_BYTES, MOST_FILES

TEXT = (Path(__file__).resolve().parents[4] / "docs" / "snapshot.md").read_text("utf-8")


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return str(found[0])


def test_example_is_valid() -> None:
    jsonschema.Draft202012Validator(closed(schema())).validate(parse(block("json").encode()))


def test_shown_output_is_that_of_the_example() -> None:
    assert layout.plain(show.sections(parse(block("json").encode()))) == block("text")


def test_every_part_of_a_document_is_described() -> None:
    assert all(f"| `{name}` |" in TEXT for name in schema()["properties"])


def test_quota_is_the_one_in_force() -> None:
    assert f"at most {MOST_FILES} files and {MOST_BYTES // 2**20} MiB" in TEXT
