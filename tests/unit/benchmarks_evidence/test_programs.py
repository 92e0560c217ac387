"""The programs and the table of their truths fit each other, and keep apart."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from judging import marked_lines
from truths import TRUTHS, Truth

EVIDENCE = Path(__file__).parents[3] / "benchmarks" / "evidence"
PROGRAMS = EVIDENCE / "programs"
OF_THE_EXAM = {file.stem for file in EVIDENCE.glob("*.py")} | {"host", "witness", "opentelemetry"}


def by_name(truth: Truth) -> str:
    return truth.program


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return {name.split(".")[0] for name in found}


def test_each_folder_has_one_truth() -> None:
    folders = sorted({file.parents[1].name for file in PROGRAMS.glob("*/*/__main__.py")})
    assert sorted(truth.program for truth in TRUTHS) == folders


@pytest.mark.parametrize("truth", TRUTHS, ids=by_name)
def test_each_truth_has_a_program_to_run(truth: Truth) -> None:
    assert (PROGRAMS / truth.program / truth.package / "__main__.py").is_file()


@pytest.mark.parametrize("truth", TRUTHS, ids=by_name)
def test_leaking_lines_are_marked_where_there_is_a_leak(truth: Truth) -> None:
    is_leak = all(answer.kind != "fragmentation" for answer in truth.answers)
    assert bool(marked_lines(PROGRAMS / truth.program)) == is_leak


@pytest.mark.parametrize("truth", TRUTHS, ids=by_name)
def test_program_is_a_package_of_several_modules_that_knows_nothing_of_the_exam(
    truth: Truth,
) -> None:
    files = sorted((PROGRAMS / truth.program).rglob("*.py"))
    assert len(files) >= 3
    for file in files:
        known = imported(file) & OF_THE_EXAM
        assert known <= ({"opentelemetry"} if truth.program == "otel_labels" else set()), file


def test_no_pattern_fits_everything() -> None:
    for truth in TRUTHS:
        for answer in truth.answers:
            is_bare = len(answer.name.replace("*", "")) < 4
            assert not is_bare or answer.kind in {"native", "fragmentation"}, truth.program
