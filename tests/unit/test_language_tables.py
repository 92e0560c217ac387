"""What each language has is said twice, at length and in short, and shown by the samples."""

from __future__ import annotations

import re

import pytest
from tests.language_samples import LANGUAGES
from tests.unit.test_docs import README, ROOT, table

DOCUMENT = ROOT / "docs" / "languages.md"


def test_the_readme_says_of_each_language_what_the_document_says_at_length() -> None:
    kinds = {"native": "native", "sum": "derived", "derived": "derived", "missing": "missing"}
    at_length = {
        re.split("[,:]", row.pop("language"))[0]: {
            what: kinds[re.split(r"\W", cell)[0]] for what, cell in row.items()
        }
        for row in table(DOCUMENT, "language")
    }
    in_short = {
        row.pop("language"): {
            re.sub(r" \(.*\)", "", what): kind
            for kind, cell in row.items()
            for what in filter(None, cell.split(", "))
        }
        for row in table(README, "language")
    }
    assert in_short == at_length


def test_the_readme_says_of_what_is_off_unless_told_that_it_is() -> None:
    at_length = {
        (re.split("[,:]", row["language"])[0], what)
        for row in table(DOCUMENT, "language")
        for what, cell in row.items()
        if "off unless told" in cell
    }
    in_short = {
        (row["language"], re.sub(r" \(.*\)", "", what))
        for row in table(README, "language")
        for cell in row.values()
        for what in cell.split(", ")
        if "off unless told" in what
    }
    assert in_short == at_length != set()


@pytest.mark.parametrize(
    ("sample", "language"),
    [
        *(("node", "Node.js"), ("jvm", "JVM"), ("go", "Go"), ("go with its resident set", "Go")),
        *(("dotnet", ".NET"), ("rust", "Rust"), ("python", "Python")),
        *(("dotnet 8", ".NET up to 8"), ("dotnet 8 with its resident set", ".NET up to 8")),
    ],
)
def test_samples_of_a_language_have_what_the_document_says(sample: str, language: str) -> None:
    (row,) = [
        row
        for row in table(DOCUMENT, "language")
        if re.split("[,:]", row["language"])[0] == language
    ]
    prefix = "process.runtime.memory."
    found = {
        name.removeprefix(prefix).replace(".", " ").replace("process memory usage", "resident")
        for name in LANGUAGES[sample].family
    }
    # What depends on settings, or on another instrumentation, is in some samples only.
    depends = {what for what, cell in row.items() if "if " in cell or "where " in cell}
    if sample == "go with its resident set":
        depends.add("resident")
    there = {what for what, cell in row.items() if cell.split()[0] != "missing"} - {"language"}
    assert found - depends == there - depends
