"""What the documents say is held against the code, both ways."""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.util._importlib_metadata import entry_points
from tests import tools

from opentelemetry.instrumentation.memory import SEGMENTS, MemoryConfig, MemoryInstrumentor
from opentelemetry.instrumentation.memory._metrics import INSTRUMENTS
from opentelemetry.instrumentation.memory.cli import main
from opentelemetry.instrumentation.memory.config import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PROMETHEUS = ROOT / "docs" / "prometheus.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
names = [str(each.relative_to(ROOT)) for each in DOCUMENTS]

KINDS = {
    "observable_up_down_counter": "observable UpDownCounter",
    "observable_gauge": "observable gauge",
    "observable_counter": "observable counter",
}


def table(document: Path, first_heading: str) -> list[dict[str, str]]:
    """Return the rows of the table whose first column has this heading."""
    lines = iter(document.read_text().splitlines())
    for line in lines:
        headings = _cells(line)
        if headings[0] == first_heading:
            next(lines)
            rows = []
            for row in lines:
                if not row.startswith("|"):
                    break
                rows.append(dict(zip(headings, _cells(row), strict=True)))
            return rows
    raise AssertionError(f"{document.name} has no table with {first_heading}")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def blocks(document: Path, language: str) -> list[str]:
    """Return the fenced blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


def queries(document: Path) -> list[str]:
    """Return the PromQL expressions; in one block they are separated by an empty line."""
    return [each for block in blocks(document, "promql") for each in block.split("\n\n")]


# --- tables ------------------------------------------------------------------------------------


def test_metric_table_has_every_instrument_and_no_other() -> None:
    documented = {
        (row["metric"], row["instrument"], row["unit"]) for row in table(README, "metric")
    }
    assert documented == {
        (f"`{each.name}`", KINDS[each.kind], f"`{each.unit}`") for each in INSTRUMENTS
    }


def test_segment_table_has_every_segment_in_order() -> None:
    rows = table(README, "`process.memory.segment`")
    assert [row["`process.memory.segment`"].strip("`") for row in rows] == list(SEGMENTS)
    assert all(row[column] for row in rows for column in row)


def test_settings_table_has_every_setting_with_its_default_and_range() -> None:
    documented = {row.pop("keyword"): row for row in table(README, "keyword")}
    assert documented.keys() == {f"`{name}`" for name in settings()}
    defaults = {each.name: each.default for each in fields(MemoryConfig)}
    for name, setting in settings().items():
        row = documented[f"`{name}`"]
        default = defaults[name]
        assert row["variable"] == f"`{setting.variable}`"
        assert row["flag"] == f"`--{setting.variable.removeprefix('OTEL_PYTHON_').lower()}`"
        assert row["default"] == _written(default)
        assert row["allowed"] == setting.kind.allowed
        assert row["meaning"].replace("`", "") == setting.meaning


def _written(default: object) -> str:
    if default is None:
        return "none"
    return str(default).lower() if isinstance(default, bool) else f"{default:g}"


def test_a_process_has_at_most_the_series_that_the_readme_says() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    instrumentor = MemoryInstrumentor()
    instrumentor.instrument(meter_provider=provider, limit_bytes=2**40, background_sampling=False)
    try:
        data = reader.get_metrics_data()
    finally:
        instrumentor.uninstrument()
        provider.shutdown()
    assert data is not None
    series = sum(
        len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )
    stated = re.search(r"at most (\d+)\s+series", README.read_text())
    assert stated is not None
    # A suspected leak adds up to three growth rates and the time that is left.
    assert series + 4 == int(stated[1])


def test_every_variable_of_ours_in_the_documents_exists() -> None:
    variables = {setting.variable for setting in settings().values()}
    for document in DOCUMENTS:
        mentioned = set(re.findall(r"OTEL_PYTHON_MEMORY_[A-Z_]+\b", document.read_text()))
        assert mentioned - {"OTEL_PYTHON_MEMORY_"} <= variables, document


def test_every_other_variable_in_the_documents_exists() -> None:
    for document in DOCUMENTS:
        mentioned = set(re.findall(r"\bOTEL_[A-Z_]+[A-Z]\b", document.read_text()))
        # What the SDK of another language reads.
        mentioned -= {"OTEL_PYTHON_MEMORY"} | _OF_OTHER_LANGUAGES
        assert mentioned <= _sdk_variables()


_OF_OTHER_LANGUAGES = {"OTEL_INSTRUMENTATION_RUNTIME_TELEMETRY_EMIT_EXPERIMENTAL_METRICS"}


def _sdk_variables() -> set[str]:
    return {
        name
        for entry_point in entry_points(group="opentelemetry_environment_variables")
        for name in dir(entry_point.load())
        if name.startswith("OTEL_")
    }


# --- Prometheus --------------------------------------------------------------------------------


def in_prometheus(name: str, kind: str, unit: str) -> str:
    """Return the name that the collector's exporter gives, by the rules of OTLP's specification."""
    units = {"By": "bytes", "By/s": "bytes_per_second", "s": "seconds", "1": "ratio"}
    suffixes = [units[unit]] if unit in units else []
    if kind == "observable_counter":
        suffixes = [*suffixes, "total"]
    return "_".join((name.replace(".", "_"), *suffixes))


NAMES_IN_PROMETHEUS = {
    each.name: in_prometheus(each.name, each.kind, each.unit) for each in INSTRUMENTS
}


def test_names_in_prometheus_follow_from_name_and_unit() -> None:
    documented = {
        row["metric"].strip("`"): row["in Prometheus"].strip("`")
        for row in table(PROMETHEUS, "metric")
    }
    assert documented == NAMES_IN_PROMETHEUS


# What collector-config/languages.yaml makes; tests/integration/test_languages.py holds it to that.
FAMILY_OF_ALL_LANGUAGES = {
    f"process_runtime_memory_{name}_bytes"
    for name in ("heap_used", "heap_committed", "heap_limit", "external")
}


RECORDED_BY_RULES = {
    rule["record"]
    for path in (ROOT / "collector-config" / "rules").glob("*[!t].yaml")
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "record" in rule
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_names_and_segments_in_queries_exist(document: Path) -> None:
    labels = {"process_memory_segment", "cpython_gc_generation", "process_runtime_name"}
    known = {*NAMES_IN_PROMETHEUS.values(), *FAMILY_OF_ALL_LANGUAGES, *RECORDED_BY_RULES, *labels}
    for query in queries(document):
        assert set(re.findall(r"\b(?:process|cpython)_[\w:]+", query)) <= known
        for matched in re.findall(r'process_memory_segment=~?"([^"]*)"', query):
            assert set(matched.split("|")) <= set(SEGMENTS)
        assert not re.search(r"\b(job|instance)\b", query)


def test_queries_are_valid_promql(tmp_path: Path) -> None:
    expressions = [query for document in DOCUMENTS for query in queries(document)]
    assert len(expressions) >= 8
    rules = tmp_path / "rules.yaml"
    rows = [{"record": f"r{number}", "expr": each} for number, each in enumerate(expressions)]
    rules.write_text(yaml.safe_dump({"groups": [{"name": "documents", "rules": rows}]}))
    checked = subprocess.run(
        [tools.promtool(), "check", "rules", rules], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


# --- snippets ----------------------------------------------------------------------------------


class _Accepting(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(self.path)  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def otlp_receiver() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Accepting)
    server.requests = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "snippet", [each for document in DOCUMENTS for each in blocks(document, "python")]
)
def test_python_snippet_runs(snippet: str, otlp_receiver: http.server.ThreadingHTTPServer) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet],
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp_receiver.server_port}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    exports = "OTLPMetricExporter" in snippet
    assert bool(otlp_receiver.requests) is exports  # type: ignore[attr-defined]


def test_declarative_snippet_has_settings_that_are_allowed() -> None:
    for document in DOCUMENTS:
        for block in blocks(document, "yaml"):
            options = yaml.safe_load(block)["instrumentation/development"]["python"]["memory"]
            assert MemoryConfig.resolve(options, {}) != MemoryConfig()


# --- commands and links ------------------------------------------------------------------------


def shell_lines(document: Path) -> list[str]:
    return [
        line.split("  #")[0].strip()
        for block in blocks(document, "sh")
        for line in block.splitlines()
    ]


def inline_code(document: Path) -> list[str]:
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", document.read_text())


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in [*shell_lines(document), *inline_code(document)]:
        if command.startswith("make "):
            assert set(re.findall(r"\b[a-z-]+\b(?!=)", command.removeprefix("make "))) <= targets


def test_help_of_make_stands_in_columns() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    matches = [re.fullmatch(r"  make ([a-z-]+) +(?=\S)(.*)", line) for line in shown]
    starts = {match.start(2) for match in matches if match is not None}
    assert None not in matches
    assert len(starts) == 1
    assert any(match[1] == "bench-detection" for match in matches if match is not None)


def test_first_make_says_what_takes_so_long_before_it_begins(tmp_path: Path) -> None:
    planned = subprocess.run(
        ["make", "--dry-run", f"VENV={tmp_path / 'venv'}", "types"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "this takes" in planned.partition("-m venv")[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_subcommands_and_their_options_exist(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in [*shell_lines(document), *inline_code(document)]:
        if not command.startswith("opentelemetry-memory "):
            continue
        words = command.split(" | ")[0].split()
        with pytest.raises(SystemExit) as ended:
            main([words[1], "--help"])
        assert ended.value.code == 0, command
        described = capsys.readouterr().out
        assert all(word in described for word in words if word.startswith("--")), command


def test_scores_in_the_readme_are_those_that_were_measured() -> None:
    def rows(document: Path) -> list[str]:
        text = document.read_text().partition("<!-- scores:begin -->")[2]
        table = text.partition("<!-- scores:end -->")[0]
        return [line for line in table.splitlines() if line.startswith("|")]

    shown = rows(README)
    measured = rows(ROOT / "benchmarks" / "detection" / "README.md")
    assert len(shown) > 2
    assert set(shown) <= set(measured)
    of_rules = (ROOT / "docs" / "leak-rules.md").read_text().splitlines()
    assert {line for line in of_rules if line.startswith("| recording rules")} <= set(measured)


def test_every_subcommand_is_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.search(r"\{([\w,]+)\}", capsys.readouterr().out)
    assert commands is not None
    text = README.read_text()
    assert all(f"opentelemetry-memory {each}" in text for each in commands[1].split(","))


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_flags_of_opentelemetry_instrument_exist(document: Path) -> None:
    flags = {re.sub(r"OTEL_(PYTHON_)?", "", name).lower() for name in _sdk_variables()}
    for command in [*shell_lines(document), *inline_code(document)]:
        own = re.match(r"opentelemetry-instrument((?: --\w+ \S+)*)", command)
        used = re.findall(r"--(\w+)", own[1]) if own else []
        used += re.findall(r"^--([a-z]+_[a-z_]+)", command)
        assert set(used) <= flags, command


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_links_lead_to_files(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text()):
        if not target.startswith("https://"):
            assert (document.parent / target).exists(), target


def test_pictures_have_a_text_for_those_who_cannot_see_them() -> None:
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README.read_text())
    assert [target for _, target in pictures] == [
        "docs/images/segments.png",
        "docs/images/demo.svg",
        "docs/images/dashboard_fleet_overview.png",
        "docs/images/dashboard_one_service.png",
        "docs/images/dashboard_language_mix.png",
    ]
    assert all(len(text) > 80 for text, _ in pictures)
    assert all(segment in pictures[0][0] for segment in SEGMENTS)
