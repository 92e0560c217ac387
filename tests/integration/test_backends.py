"""One stream in three backends: what each calls the metrics, and that the alerts fire in all."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from tests import tools
from tests.backends import PROMETHEUS_NAMING, Backend, prometheus_otlp, victoria_metrics
from tests.pipeline import CONFIGS, Collector, Pipeline, pipeline, visitors
from tests.tools import eventually, free_ports, get_json, one_at_a_time

from opentelemetry.instrumentation.memory._metrics import INSTRUMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = CONFIGS.parent
DOCUMENT = ROOT / "docs" / "backends.md"
SHOP = Path(__file__).parent / "programs" / "leaky_shop"
DEADLINE_SECONDS = 150
# Evidence counts in samples: these are many in a short time.
SETTINGS = {
    "OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS": "0.05",
    "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": "0.05",
    "OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "100",
    "OTEL_PYTHON_MEMORY_LIMIT_BYTES": str(512 * 2**20),
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.4.2,k8s.pod.name=sample-7f",
}
FAMILY = {"heap.used", "heap.committed", "heap.limit", "external"}
FROM_CPYTHON = {
    *("process_runtime_memory_heap_used_bytes", "process_runtime_memory_heap_committed_bytes"),
    *("process_runtime_memory_external_bytes", "process_memory_usage_bytes"),
}
CUMULATIVE = 2

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


# --- every metric once, from a process that says all that is to be said of it ------------------

SYNTHETIC = "every-metric"
RESOURCE = {
    "service.name": SYNTHETIC,
    "service.namespace": "shop",
    "service.version": "1.0",
    "service.instance.id": "one",
    "k8s.namespace.name": "prod",
    "k8s.pod.name": "every-metric-5c",
    "telemetry.sdk.language": "python",
    "deployment.environment.name": "production",
    "process.command_line": "run --key secret",
}


def metric(name: str, unit: str, kind: str) -> dict[str, Any]:
    point = {"timeUnixNano": f"{time.time_ns()}", "asDouble": 0.25}
    if kind == "observable_gauge":
        data: dict[str, Any] = {"gauge": {"dataPoints": [point]}}
    else:
        monotonic = kind == "observable_counter"
        data = {"sum": {"aggregationTemporality": CUMULATIVE, "isMonotonic": monotonic}}
        data["sum"]["dataPoints"] = [point]
    return {"name": name, "unit": unit, **data}


def every_metric() -> dict[str, Any]:
    """Return an OTLP request with each metric of this package and of the family."""
    metrics = [metric(each.name, each.unit, each.kind) for each in INSTRUMENTS]
    family = [f"process.runtime.memory.{name}" for name in FAMILY]
    metrics += [metric(name, "By", "observable_gauge") for name in family]
    histogram = {
        "timeUnixNano": f"{time.time_ns()}",
        "count": "1",
        "sum": 2e6,
        "bucketCounts": ["0", "1"],
        "explicitBounds": [1e6],
    }
    metrics.append(
        {
            "name": "process.memory.request.growth",
            "unit": "By",
            "histogram": {"aggregationTemporality": CUMULATIVE, "dataPoints": [histogram]},
        }
    )
    scope = {"name": "opentelemetry.instrumentation.memory", "version": "1"}
    attributes = [{"key": key, "value": {"stringValue": text}} for key, text in RESOURCE.items()]
    return {
        "resourceMetrics": [
            {
                "resource": {"attributes": attributes},
                "scopeMetrics": [{"scope": scope, "metrics": metrics}],
            }
        ]
    }


# --- what the document says --------------------------------------------------------------------

BACKENDS = ("the collector's endpoint, scraped", "Prometheus' OTLP receiver", "VictoriaMetrics")


def rows(first: str) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of the document's table whose first column is called so."""
    lines = iter(DOCUMENT.read_text().splitlines())
    header = next(cells for cells in map(cells_of, lines) if cells[:1] == [first])
    assert tuple(header[1:]) == BACKENDS
    next(lines)
    found = []
    for cells in map(cells_of, lines):
        if not cells:
            break
        found.append((cells[0].strip("`"), dict(zip(BACKENDS, cells[1:], strict=True))))
    return found


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


# --- one stream in three backends --------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backends")


Running = tuple[Pipeline, dict[str, Backend]]


@pytest.fixture(scope="module")
def stream(folder: Path) -> Iterator[Running]:
    """Run the leaky shop, a collector with the family, and three backends behind it."""
    otlp_port, victoria_port = free_ports(2)
    # The gateway's scrape and `forward.yaml` make two; the third is added as a user would add it.
    second = folder / "second.yaml"
    endpoint = f"http://127.0.0.1:{victoria_port}/opentelemetry"
    pipelines = {
        "metrics/second": {
            "receivers": ["forward/metrics"],
            "processors": ["memory_limiter", "batch"],
            "exporters": ["otlp_http/second"],
        }
    }
    content = {
        "exporters": {"otlp_http/second": {"endpoint": endpoint}},
        "service": {"pipelines": pipelines},
    }
    second.write_text(yaml.safe_dump(content))
    (folder / "rules").symlink_to(CONFIGS / "rules")
    env = {"BACKEND_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp_port}/api/v1/otlp"}
    overlays = ("languages.yaml", "forward.yaml", str(second))
    collector = Collector.on_free_ports(folder, *overlays, env=env)
    with (
        prometheus_otlp(folder, otlp_port) as otlp,
        victoria_metrics(folder, victoria_port) as victoria,
        collector.running(),
        pipeline(folder, collector, SHOP, **SETTINGS) as pipe,
    ):
        url = pipe.prometheus_url
        scraped = Backend(url, url, (pipe.prometheus,))
        eventually(lambda: get_json(f"{url}/api/v1/status/config"), pipe.prometheus)
        get_json(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", every_metric())
        yield pipe, dict(zip(BACKENDS, (scraped, otlp, victoria), strict=True))


each_backend = pytest.mark.parametrize("backend", BACKENDS)


@each_backend
def test_every_metric_has_the_documented_name(stream: Running, backend: str) -> None:
    server = stream[1][backend]
    assert {metric for metric, _ in rows("metric")} == {
        *(each.name for each in INSTRUMENTS),
        *(f"process.runtime.memory.{name}" for name in FAMILY),
        "process.memory.request.growth",
    }

    def names_are_those() -> None:
        found, expected = server.names(SYNTHETIC), documented_names(backend)
        assert found == expected, (found - expected, expected - found)

    eventually(names_are_those, *server.servers)


def documented_names(backend: str) -> set[str]:
    cells = [each[backend] for _, each in rows("metric")]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


@each_backend
def test_resource_attributes_are_where_the_document_says(stream: Running, backend: str) -> None:
    server = stream[1][backend]
    documented = {name: each[backend] for name, each in rows("attribute")}
    assert documented.keys() >= RESOURCE.keys()
    risk = f'process_memory_leak_risk_ratio{{service_name="{SYNTHETIC}"}}'
    (labels,) = eventually(lambda: series_of(server, risk), *server.servers)
    about = server.series(f'target_info{{job=~".*{SYNTHETIC}"}}')

    def place(attribute: str) -> str:
        label = attribute.replace(".", "_")
        if label in labels:
            return "label"
        return "`target_info`" if any(label in each for each in about) else "nowhere"

    assert {name: place(name) for name in documented} == documented


def series_of(server: Backend, promql: str) -> list[dict[str, str]]:
    found = server.series(promql)
    assert found
    return found


def test_the_rest_of_a_resource_can_be_joined_where_it_is_in_target_info(stream: Running) -> None:
    server = stream[1]["Prometheus' OTLP receiver"]
    (join,) = re.findall(r"`(\S+ \* on .* target_info)`", DOCUMENT.read_text())
    found = eventually(lambda: series_of(server, join), *server.servers)
    synthetic = [each for each in found if each["service_name"] == SYNTHETIC]
    assert [each["deployment_environment_name"] for each in synthetic] == ["production"]


def test_alerts_on_a_leaking_service_fire_in_each_backend_with_all_they_have_to_say(
    stream: Running,
) -> None:
    pipe, backends = stream
    workers = pipe.workers()
    leaking: set[str] = set()

    def see(answer: dict[str, Any]) -> None:
        if answer["is_leaking"]:
            leaking.add(answer["instance"])

    process = "Process [0-9a-f-]+ of sample 1.4.2: python_heap grows by [0-9.]+[kM]iB/s"
    left = r"(\d+h )?(\d+m )?\d+s"

    def both_fire_everywhere() -> dict[str, dict[tuple[str, str], dict[str, str]]]:
        firing = {name: each.firing() for name, each in backends.items()}
        for name, alerts in firing.items():
            said = {alert: text["description"] for (alert, _), text in alerts.items()}
            assert said.keys() >= {"MemoryLeakConfirmed", "MemoryExhaustionSoon"}, (name, alerts)
            # VictoriaMetrics may find a series that is new a moment after those it knew: the text
            # is made again with each evaluation.
            says = said["MemoryLeakConfirmed"]
            assert re.fullmatch(rf"{process}, limit reached in {left}\.", says), (name, says)
        return firing

    with visitors(pipe.service_url, see):
        servers = [server for each in backends.values() for server in each.servers]
        firing = eventually(both_fire_everywhere, pipe.service, *servers, seconds=DEADLINE_SECONDS)

    (instance,) = leaking
    assert instance in workers
    for name, alerts in firing.items():
        # Nobody is told of the healthy sibling, nor of the one that only shows its metrics.
        assert {process for _, process in alerts} == {instance}, (name, alerts)
        says = alerts["MemoryLeakConfirmed", instance]["description"]
        assert says.startswith(f"Process {instance} "), (name, says)
        # Neither more than documented, nor without what the collector makes of it.
        sent = backends[name].names("sample")
        assert FROM_CPYTHON <= sent <= documented_names(name), (name, sent)
    print(json.dumps({name: sorted(alerts) for name, alerts in firing.items()}, indent=2))  # noqa: T201


def test_without_its_flag_victoria_metrics_has_no_name_that_a_rule_knows(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    with victoria_metrics(tmp_path, port, naming=f"{PROMETHEUS_NAMING}=false") as plain:
        # It takes no JSON.
        request = Parse(json.dumps(every_metric()), ExportMetricsServiceRequest())
        sent = urllib.request.Request(  # noqa: S310 - always http to loopback
            f"{plain.url}/opentelemetry/v1/metrics",
            data=request.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf"},
        )
        with urllib.request.urlopen(sent, timeout=10):  # noqa: S310
            pass

        def there_are_names() -> set[str]:
            names = set(plain.get("label/__name__/values"))
            assert "process.memory.leak.risk" in names
            return names

        names = eventually(there_are_names, *plain.servers)
    assert not names & documented_names("VictoriaMetrics")


def test_every_alert_does_in_victoria_metrics_what_its_cases_say(tmp_path: Path) -> None:
    ask_victoria_metrics(CONFIGS / "rules" / "alerts_test.yaml", tmp_path)


OF_LEAK_CASES = {
    "promql_expr_test:": "metricsql_expr_test:",
    # A rule sees what another has recorded one evaluation later: of the 200 minutes from the oldest
    # floor of a window to the newest one, 4 are not in the rise.
    "value: 1024": "value: 1004",
    "grows by 1kiB/s": "grows by 1004B/s",
    "limit reached in 10d 13h 58m 56s": "limit reached in 10d 19h 14m 0s",
}
"""What VictoriaMetrics says in place of what Prometheus says, as docs/leak-rules.md has it."""


def test_leak_rules_do_in_victoria_metrics_what_their_cases_say(tmp_path: Path) -> None:
    cases = (CONFIGS / "rules" / "leak_test.yaml").read_text()
    for prometheus, victoria in OF_LEAK_CASES.items():
        assert prometheus in cases
        cases = cases.replace(prometheus, victoria)
    (tmp_path / "leak.yaml").symlink_to(CONFIGS / "rules" / "leak.yaml")
    (tmp_path / "leak_test.yaml").write_text(cases)
    ask_victoria_metrics(tmp_path / "leak_test.yaml", tmp_path)


def nobody_listens_where_it_does() -> None:
    """Raise OSError while there is a vmalert, or another run of its tool, on their usual port."""
    with socket.create_server(("", 8880)):
        pass


def ask_victoria_metrics(cases: Path, storage: Path) -> None:
    command = [tools.vmalert_tool(), "unittest", "--disableAlertgroupLabel"]
    # It cannot be told another port: two that found it free at once would fail each other.
    with one_at_a_time("vmalert-tool"):
        eventually(nobody_listens_where_it_does, seconds=DEADLINE_SECONDS)
        done = subprocess.run(
            [*command, f"--files={cases}"],
            capture_output=True,
            text=True,
            check=False,
            cwd=cases.parent,
            # Else it stores in one place for all runs on the machine, and begins by emptying it.
            env={**os.environ, "TMPDIR": str(storage)},
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout + done.stderr


def test_two_runs_at_a_time_do_not_fail_each_other(tmp_path: Path) -> None:
    group = {"name": "one", "rules": [{"record": "doubled", "expr": "2 * given"}]}
    (tmp_path / "one.yaml").write_text(json.dumps({"groups": [group]}))
    doubled = {"value": 2, "labels": "doubled"}
    case = {
        "interval": "1m",
        "input_series": [{"series": "given", "values": "1x5"}],
        "metricsql_expr_test": [{"expr": "doubled", "eval_time": "3m", "exp_samples": [doubled]}],
    }
    cases = tmp_path / "one_test.yaml"
    cases.write_text(json.dumps({"rule_files": ["one.yaml"], "tests": [case]}))
    folders = [tmp_path / str(number) for number in range(4)]
    for each in folders:
        each.mkdir()
    with ThreadPoolExecutor(len(folders)) as pool:
        list(pool.map(lambda folder: ask_victoria_metrics(cases, folder), folders))


def test_every_command_of_the_document_is_one_that_its_program_takes() -> None:
    commands = re.findall(r"^otelcol .*$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        result = subprocess.run(
            [tools.collector(), "validate", *shlex.split(command)[1:]],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={"BACKEND_OTLP_ENDPOINT": "http://127.0.0.1:9090/api/v1/otlp"},
        )
        assert result.returncode == 0, (command, result.stderr)
