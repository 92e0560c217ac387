"""Backends that take OTLP themselves, as real servers: upstream Prometheus, and VictoriaMetrics."""

from __future__ import annotations

import contextlib
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from tests import tools
from tests.pipeline import CONFIGS
from tests.tools import Server, eventually, free_ports, get_json, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = CONFIGS / yaml.safe_load((CONFIGS / "prometheus.yaml").read_text())["rule_files"][0]
OWN_NAMES = ("process_", "cpython_")
PROMETHEUS_NAMING = "-opentelemetry.usePrometheusNaming"


@dataclass(frozen=True)
class Backend:
    """Where to ask what has arrived, and what the rules make of it.

    Attributes:
        url: Of the server that answers queries.
        rules_url: Of the one that evaluates rules, with the same API.
        servers: What runs for it.
    """

    url: str
    rules_url: str
    servers: tuple[Server, ...]

    def series(self, promql: str) -> list[dict[str, str]]:
        """Return the labels of each series of an answer."""
        answer = self.get("query", query=promql)
        return [dict(each["metric"]) for each in answer["result"]]

    def names(self, service: str) -> set[str]:
        """Return what a service's metrics of memory are called, without what rules record."""
        match = {"match[]": f'{{service_name="{service}"}}'}
        names = self.get("label/__name__/values", **match)
        return {name for name in names if name.startswith(OWN_NAMES) and ":" not in name}

    def firing(self) -> dict[tuple[str, str], dict[str, str]]:
        """Return the annotations of each alert that fires, by its name and process."""
        alerts = get_json(f"{self.rules_url}/api/v1/alerts")["data"]["alerts"]
        return {
            (each["labels"]["alertname"], each["labels"].get("service_instance_id", "")): each[
                "annotations"
            ]
            for each in alerts
            if each["state"] == "firing"
        }

    def get(self, path: str, **options: str) -> Any:
        """Return what the API answers."""
        query = urllib.parse.urlencode(options)
        return get_json(f"{self.url}/api/v1/{path}?{query}")["data"]


@contextlib.contextmanager
def prometheus_otlp(folder: Path, port: int) -> Iterator[Backend]:
    """Run Prometheus' own receiver on the shipped configuration, with no time to lose."""
    config = yaml.safe_load((CONFIGS / "prometheus-otlp.yaml").read_text())
    config["global"]["evaluation_interval"] = "1s"
    config["rule_files"] = [str(RULES)]
    del config["alerting"]  # whoever listens at the default address is not of this test
    (folder / "prometheus-otlp.yaml").write_text(yaml.safe_dump(config))
    command = [
        tools.prometheus_otlp(),
        f"--config.file={folder / 'prometheus-otlp.yaml'}",
        f"--storage.tsdb.path={folder / 'prometheus-otlp'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-otlp-receiver",
    ]
    url = f"http://127.0.0.1:{port}"
    with running("prometheus-otlp", command, folder) as server:
        eventually(lambda: get_json(f"{url}/api/v1/status/config"), server)
        yield Backend(url, url, (server,))


@contextlib.contextmanager
def victoria_metrics(folder: Path, port: int, naming: str = PROMETHEUS_NAMING) -> Iterator[Backend]:
    """Run VictoriaMetrics, and vmalert on the shipped rules."""
    url = f"http://127.0.0.1:{port}"
    storage = [
        tools.victoria_metrics(),
        f"-storageDataPath={folder / 'victoria-metrics'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        naming,
        # By default it shows nothing that is younger than 30 s, and rules ask for the time before.
        "-search.latencyOffset=0s",
    ]
    address = f"127.0.0.1:{free_ports(1)[0]}"
    alerting = [
        tools.vmalert(),
        f"-rule={RULES}",
        *(f"-{kind}.url={url}" for kind in ("datasource", "remoteRead", "remoteWrite")),
        f"-httpListenAddr={address}",
        "-notifier.blackhole",
        "-evaluationInterval=1s",
        "-rule.evalDelay=0s",
        "-remoteWrite.flushInterval=500ms",
    ]
    with running("victoria-metrics", storage, folder) as server:
        eventually(lambda: get_json(f"{url}/api/v1/labels"), server)
        with running("vmalert", alerting, folder) as rules:
            eventually(lambda: get_json(f"http://{address}/api/v1/rules"), rules)
            yield Backend(url, f"http://{address}", (server, rules))
