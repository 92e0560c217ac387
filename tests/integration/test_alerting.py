"""A leak as it reaches people: worker -> collector -> Prometheus -> Alertmanager -> webhook."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from scripts import make_leak_rules
from tests import tools
from tests.pipeline import CONFIGS, Collector, pipeline, prometheus, visitors
from tests.tools import Server, eventually, free_ports, get_json, running

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOP = Path(__file__).parent / "programs" / "leaky_shop"
ROOT = CONFIGS.parent
ALERTMANAGER = CONFIGS / "alertmanager.yaml"
PROMETHEUS = yaml.safe_load((CONFIGS / "prometheus.yaml").read_text())
(RULES,) = PROMETHEUS["rule_files"]
UNWATCHED = SHOP.with_name("unwatched.py")
DEADLINE_SECONDS = 150
ATTRIBUTES = "service.version=1.4.2,k8s.pod.name=sample-7f"
# The shortest window of the rules, 240 samples, is a minute then.
SAMPLE_SECONDS = 0.25
# Evidence counts in samples: these are many in a short time.
SETTINGS = {
    "OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS": "0.05",
    "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": "0.05",
    "OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "100",
    "OTEL_PYTHON_MEMORY_LIMIT_BYTES": str(512 * 2**20),
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "OTEL_RESOURCE_ATTRIBUTES": ATTRIBUTES,
}


class Webhook:
    """What Alertmanager has posted, message by message."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        see = self.messages.append

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                see(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"

    @contextlib.contextmanager
    def running(self) -> Iterator[Webhook]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@contextlib.contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[tuple[Server, str]]:
    """Run Alertmanager on the shipped configuration, with another webhook and no time to lose."""
    config = yaml.safe_load(ALERTMANAGER.read_text())
    config["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    (receiver,) = config["receivers"]
    receiver["webhook_configs"][0]["url"] = webhook
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = [
        tools.alertmanager(),
        f"--config.file={folder / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with running("alertmanager", command, folder) as server:
        eventually(lambda: get_json(f"http://{address}/api/v2/status"), server)
        yield server, address


def judge_rules(
    prometheus: Server,
    url: str,
    alertmanager_address: str,
    rules: str = str(CONFIGS / RULES),
    **settings: str,
) -> None:
    """Make a running Prometheus read these rules, and tell that Alertmanager."""
    path = prometheus.log.parent / "prometheus.yaml"
    config = yaml.safe_load(path.read_text())
    config["global"] |= {"evaluation_interval": "1s", **settings}
    config["rule_files"] = [rules]
    target = {"static_configs": [{"targets": [alertmanager_address]}]}
    config["alerting"]["alertmanagers"] = [target]
    path.write_text(yaml.safe_dump(config))

    status = f"{url}/api/v1"

    def both_are_known() -> None:
        assert get_json(f"{status}/rules")["data"]["groups"]
        known = get_json(f"{status}/alertmanagers")["data"]["activeAlertmanagers"]
        assert [alertmanager_address in each["url"] for each in known] == [True], known

    # Once it answers it also listens to signals: before, this one would end it.
    eventually(lambda: get_json(f"{status}/status/config"), prometheus)
    os.kill(prometheus.process.pid, signal.SIGHUP)
    eventually(both_are_known, prometheus)


@pytest.mark.skipif(sys.platform != "linux", reason="the worker's memory is read from /proc")
def test_a_leak_arrives_at_the_webhook_with_segment_growth_time_left_and_runbook(
    tmp_path: Path,
) -> None:
    collector = Collector.on_free_ports(tmp_path)
    with (
        Webhook().running() as webhook,
        alertmanager(tmp_path, webhook.url) as (alerting, address),
        collector.running() as server,
        pipeline(tmp_path, collector, SHOP, **SETTINGS) as pipe,
    ):
        judge_rules(pipe.prometheus, pipe.prometheus_url, address)
        workers = pipe.workers()
        leaking: set[str] = set()

        def see(answer: dict[str, Any]) -> None:
            if answer["is_leaking"]:
                leaking.add(answer["instance"])

        def both_alerts_in_one_message() -> dict[str, dict[str, Any]]:
            assert webhook.messages, "nothing has arrived"
            alerts = {each["labels"]["alertname"]: each for each in webhook.messages[-1]["alerts"]}
            assert alerts.keys() >= {"MemoryExhaustionSoon", "MemoryLeakConfirmed"}, alerts
            return alerts

        with visitors(pipe.service_url, see):
            servers = (server, pipe.service, pipe.prometheus, alerting)
            alerts = eventually(both_alerts_in_one_message, *servers, seconds=DEADLINE_SECONDS)

    (instance,) = leaking
    assert instance in workers
    process = f"Process {instance} of sample 1.4.2: python_heap grows by [0-9.]+[kM]iB/s"
    left = r"(\d+h )?(\d+m )?\d+s"
    assert_says(
        alerts["MemoryLeakConfirmed"],
        severity="warning",
        summary=r"sample leaks memory \(risk (0\.9\d|1\.00)\)",
        description=rf"{process}, limit reached in {left}\.",
    )
    assert_says(
        alerts["MemoryExhaustionSoon"],
        severity="critical",
        summary=f"sample reaches its memory limit in {left}",
        description=rf"{process}\.",
    )
    # Nobody was told of the healthy sibling.
    told = [each for message in webhook.messages for each in message["alerts"]]
    assert {each["labels"].get("service_instance_id") for each in told} == {instance}
    print(json.dumps(webhook.messages[-1], indent=2))  # noqa: T201 - with -s


@pytest.mark.skipif(sys.platform != "linux", reason="the worker's memory is read from /proc")
def test_a_leak_that_nobody_judges_arrives_at_the_webhook_by_rule(tmp_path: Path) -> None:
    collector = Collector.on_free_ports(tmp_path)
    rules = tmp_path / "leak.yaml"
    rules.write_text(make_leak_rules.rules(SAMPLE_SECONDS))
    milliseconds = f"{SAMPLE_SECONDS * 1000:.0f}"
    env = {
        "OTEL_SERVICE_NAME": "sample",
        "OTEL_RESOURCE_ATTRIBUTES": f"{ATTRIBUTES},service.instance.id=unwatched",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url("OTLP_HTTP_PORT"),
        "OTEL_METRIC_EXPORT_INTERVAL": milliseconds,
        "OTEL_METRIC_EXPORT_TIMEOUT": milliseconds,
    }
    with (
        Webhook().running() as webhook,
        alertmanager(tmp_path, webhook.url) as (alerting, address),
        collector.running() as server,
        prometheus(tmp_path, collector) as (judging, url),
        running("unwatched", [sys.executable, UNWATCHED], tmp_path, env) as service,
    ):
        judge_rules(judging, url, address, str(rules), scrape_interval=f"{milliseconds}ms")

        def it_has_arrived() -> dict[str, Any]:
            assert webhook.messages, "nothing has arrived"
            alert: dict[str, Any]
            (alert,) = webhook.messages[-1]["alerts"]
            return alert

        servers = (alerting, server, judging, service)
        alert = eventually(it_has_arrived, *servers, seconds=DEADLINE_SECONDS)
    assert alert["labels"]["alertname"] == "MemoryLeakByRule"
    assert_says(
        alert,
        severity="warning",
        summary=r"sample seems to leak memory \(by rule, risk 0\.84\)",
        description=r"Process unwatched of sample 1\.4\.2: resident grows by [0-9.]+[kM]iB/s, "
        r"no limit known\.",
    )


def assert_says(alert: dict[str, Any], *, severity: str, summary: str, description: str) -> None:
    """Hold a firing alert against patterns of its text, and its runbook against the document."""
    labels, annotations = alert["labels"], alert["annotations"]
    assert (alert["status"], labels["severity"]) == ("firing", severity)
    assert (labels["service_version"], labels["k8s_pod_name"]) == ("1.4.2", "sample-7f")
    assert re.fullmatch(summary, annotations["summary"]), annotations
    assert re.fullmatch(description, annotations["description"]), annotations
    file, _, section = annotations["runbook"].partition("#")
    assert section == labels["alertname"].lower()
    assert f"## {labels['alertname']}\n" in (ROOT / file).read_text()


def test_alertmanager_accepts_its_configuration() -> None:
    check = [tools.amtool(), "check-config", ALERTMANAGER]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_loads_every_rule_file_and_no_test_of_one() -> None:
    # Go's pattern for a name that does not end so has another sign than Python's.
    found = set(CONFIGS.glob(RULES.replace("[^", "[!")))
    files = set((CONFIGS / "rules").glob("*.yaml"))
    assert found
    assert found == {path for path in files if not path.stem.endswith("_test")}


def test_prometheus_tells_the_alertmanager_that_the_documents_start() -> None:
    (alertmanagers,) = PROMETHEUS["alerting"]["alertmanagers"]
    (group,) = alertmanagers["static_configs"]
    for document in (ALERTMANAGER, CONFIGS / "README.md"):
        (listen,) = re.findall(r"^(?:#   )?alertmanager .*", document.read_text(), re.MULTILINE)
        assert f"--web.listen-address={group['targets'][0]} " in listen


def test_one_message_has_all_that_is_the_matter_with_a_version_of_a_service() -> None:
    route = yaml.safe_load(ALERTMANAGER.read_text())["route"]
    assert set(route["group_by"]) == {"service_namespace", "service_name", "service_version"}
