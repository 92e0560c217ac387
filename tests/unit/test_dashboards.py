"""The dashboards are what the code makes, and hold to the rules that the alerts hold to."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests import tools
from tests.grafana import Span, fill_in
from tests.unit.test_docs import FAMILY_OF_ALL_LANGUAGES, NAMES_IN_PROMETHEUS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "dashboards").glob("*.json"))
each_dashboard = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
VARIABLES = ["datasource", "service_namespace", "service_name", "version", "instance"]


def panels(file: Path) -> list[dict[str, Any]]:
    return list(json.loads(file.read_text())["panels"])


def expressions(file: Path) -> Iterator[str]:
    """Return every expression, also of annotations, with variables as they stand."""
    for panel in panels(file):
        yield from (target["expr"] for target in panel["targets"])
    yield from (each["expr"] for each in json.loads(file.read_text())["annotations"]["list"])


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Grafana's SDK needs Python 3.11")
@pytest.mark.optional_here("Grafana's SDK needs Python 3.11")
def test_files_are_what_the_code_makes() -> None:
    from dashboards.generate import generated  # noqa: PLC0415 - not on Python 3.10

    assert {file.name: file.read_text() for file in FILES} == generated()


def test_there_are_the_dashboards_that_are_asked_of_a_real_fleet_and_no_other() -> None:
    # tests/integration/test_dashboards.py asks every panel of these; of a row it would see none.
    assert [file.stem for file in FILES] == ["fleet_overview", "language_mix", "one_service"]
    assert all(panel["targets"] for file in FILES for panel in panels(file))


@each_dashboard
def test_dashboard_can_be_narrowed_down(file: Path) -> None:
    variables = json.loads(file.read_text())["templating"]["list"]
    assert [each["name"] for each in variables] == VARIABLES


@each_dashboard
def test_every_panel_has_a_unit_and_says_how_to_read_it(file: Path) -> None:
    for panel in panels(file):
        defaults = panel["fieldConfig"]["defaults"]
        columns = [
            each["id"] for row in panel["fieldConfig"]["overrides"] for each in row["properties"]
        ]
        in_cells = panel["type"] == "table" and columns.count("unit") == len(panel["targets"])
        assert defaults.get("unit") or in_cells, panel["title"]
        assert len(panel["description"]) > 40, panel["title"]


@each_dashboard
def test_descriptions_lead_to_documents_and_sections_that_exist(file: Path) -> None:
    described = "\n".join(panel["description"] for panel in panels(file))
    links = re.findall(r"`(docs/[\w/]+\.md)(?:#(\w+))?`", described)
    assert any(document == "docs/runbook.md" for document, _ in links)
    for document, anchor in links:
        headings = re.findall(r"^#+ (.+)$", (ROOT / document).read_text(), re.MULTILINE)
        assert not anchor or anchor in {heading.lower() for heading in headings}, anchor


@each_dashboard
def test_panels_lie_side_by_side_and_none_upon_another(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(file):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (place["x"] + column, place["y"] + row)
            for column in range(place["w"])
            for row in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@each_dashboard
def test_expressions_name_metrics_that_exist_and_no_label_of_some_backends_only(file: Path) -> None:
    labels = {"process_memory_segment", "cpython_gc_generation", "process_runtime_name"}
    known = {*NAMES_IN_PROMETHEUS.values(), *FAMILY_OF_ALL_LANGUAGES, *labels}
    for expression in expressions(file):
        assert set(re.findall(r"\b(?:process|cpython)_\w+", expression)) <= known
        assert not re.search(r"\b(job|instance)\b", expression.replace("$instance", ""))


@each_dashboard
def test_expressions_take_every_other_label_away(file: Path) -> None:
    for expression in expressions(file):
        # A metric is only ever read inside of an aggregation, by labels that are named.
        for found in re.finditer(r"\b(?:process|cpython)_\w+\{", expression):
            before = expression[: found.start()].removesuffix("rate(")
            assert re.search(r"(max|min) by \([\w, ]+\) \($", before), expression


def test_expressions_are_valid_promql(tmp_path: Path) -> None:
    values = {**dict.fromkeys(VARIABLES, "shop"), **Span(0, 300).variables()}
    filled_in = [fill_in(expression, values) for file in FILES for expression in expressions(file)]
    assert len(filled_in) > 40
    rows = [{"record": f"r{number}", "expr": each} for number, each in enumerate(filled_in)]
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rows}]}))
    checked = subprocess.run(
        [tools.promtool(), "check", "rules", rules], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@each_dashboard
def test_document_has_every_panel_and_no_other(file: Path) -> None:
    board = json.loads(file.read_text())
    section = (ROOT / "docs" / "dashboards.md").read_text().partition(f"### {board['title']}\n")[2]
    rows = re.findall(r"^\| (.+?) \|", section.partition("\n#")[0], re.MULTILINE)
    assert set(rows) - {"panel", "---"} == {panel["title"] for panel in board["panels"]}
