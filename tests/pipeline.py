"""A real pipeline for tests: gunicorn workers, the collector, Prometheus, all on loopback."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tests import tools
from tests.tools import Server, eventually, free_ports, get_json, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONFIGS = Path(__file__).resolve().parents[1] / "collector-config"
SAMPLE = CONFIGS / "sample"
PROGRAMS = Path(sys.executable).parent
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Collector:
    """How to start a collector on ports of its own, again and again."""

    folder: Path
    env: dict[str, str]
    configs: tuple[str, ...] = ("gateway.yaml",)

    @classmethod
    def on_free_ports(
        cls, folder: Path, *overlays: str, env: dict[str, str] | None = None
    ) -> Collector:
        names = ("OTLP_GRPC", "OTLP_HTTP", "PROMETHEUS", "COLLECTOR_METRICS", "HEALTH")
        ports = {f"{name}_PORT": str(port) for name, port in zip(names, free_ports(5), strict=True)}
        folder.mkdir(exist_ok=True)
        return cls(folder, {**ports, **(env or {})}, ("gateway.yaml", *overlays))

    def url(self, port: str) -> str:
        return f"http://127.0.0.1:{self.env[port]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        options = [f"--config={CONFIGS / name}" for name in self.configs]
        command = [tools.collector(), *options]
        with running("collector", command, self.folder, self.env) as server:
            eventually(lambda: get_json(self.url("HEALTH_PORT")), server)
            yield server

    def scrape(self) -> str:
        """Return what Prometheus would be given."""
        address = f"{self.url('PROMETHEUS_PORT')}/metrics"
        with urllib.request.urlopen(address, timeout=10) as response:  # noqa: S310
            return str(response.read().decode())


@contextlib.contextmanager
def prometheus(folder: Path, collector: Collector) -> Iterator[tuple[Server, str]]:
    """Run Prometheus on the shipped configuration, with other ports and no time to lose."""
    config = yaml.safe_load((CONFIGS / "prometheus.yaml").read_text())
    config["global"] |= {"scrape_interval": "500ms", "evaluation_interval": "1s"}
    ports = [collector.env["PROMETHEUS_PORT"], collector.env["COLLECTOR_METRICS_PORT"]]
    for job, port in zip(config["scrape_configs"], ports, strict=True):
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    # Whoever listens at the default address is not of this test.
    config["alerting"]["alertmanagers"] = []
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = [
        tools.prometheus(),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
    ]
    with running("prometheus", command, folder) as server:
        yield server, f"http://{address}"


@dataclass(frozen=True)
class Pipeline:
    """A service with two workers, a collector and a Prometheus, all running."""

    collector: Collector
    service: Server
    service_url: str
    prometheus: Server
    prometheus_url: str

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Return the series of a PromQL answer."""
        options = urllib.parse.urlencode({"query": promql})
        answer = get_json(f"{self.prometheus_url}/api/v1/query?{options}")
        return list(answer["data"]["result"])

    def values(self, promql: str) -> dict[str, float]:
        """Return one number for each service instance."""
        series = self.query(promql)
        values = {each["metric"]["service_instance_id"]: float(each["value"][1]) for each in series}
        assert len(values) == len(series), f"an instance has more than one series: {series}"
        return values

    def workers(self) -> dict[str, int]:
        """Return the pid of each worker by its service instance, once both have answered."""
        found: dict[str, int] = {}

        def both_have_answered() -> None:
            answer = get_json(self.service_url)
            found[answer["instance"]] = answer["pid"]
            assert len(found) == 2, found

        eventually(both_have_answered, self.service)
        return found

    def hold_more(self, workers: dict[str, int], mebibytes: int) -> None:
        """Make each worker hold at least that much more."""
        waiting = set(workers.values())

        def both_have_answered() -> None:
            waiting.discard(get_json(f"{self.service_url}/hold/{mebibytes}", {})["pid"])
            assert not waiting

        eventually(both_have_answered, self.service, seconds=10)


def gunicorn(program: Path) -> list[str | Path]:
    """Return the command that serves a program's folder, instrumented from outside."""
    return [
        *(PROGRAMS / "opentelemetry-instrument", PROGRAMS / "gunicorn", "service:app"),
        *("--chdir", program, "-c", program / "gunicorn.conf.py"),
    ]


@contextlib.contextmanager
def visitors(url: str, see: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Send some twenty requests a second from a thread; `see` is handed each answer."""
    stop = threading.Event()

    def visit() -> None:
        begin = time.monotonic()
        for number in itertools.count():
            if stop.wait(max(begin + number / 20 - time.monotonic(), 0)):
                return
            with contextlib.suppress(OSError):  # it is starting or ending
                see(get_json(url))

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def pipeline(
    folder: Path, collector: Collector, program: Path = SAMPLE, **settings: str
) -> Iterator[Pipeline]:
    """Start Prometheus and the service; the collector is the caller's to start and stop."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    env = {
        "SAMPLE_BIND": address,
        "SAMPLE_MEBIBYTES_PER_WORKER": "64",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OTEL_SERVICE_NAME": "sample",
        # It reports a metric of the same name, with its parent's memory for both workers.
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "system_metrics,aiohttp-server,celery,django",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        # Not shorter: the SDK's reader does not renew its export lock in a child, so a worker that
        # is forked during an export of the main process stays silent for ever. By the time of the
        # first export the workers must be there.
        "OTEL_METRIC_EXPORT_INTERVAL": "3000",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url("OTLP_HTTP_PORT"),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        **settings,
    }
    with (
        prometheus(folder, collector) as (server, url),
        running("service", gunicorn(program), folder, env) as service,
    ):
        yield Pipeline(collector, service, f"http://{address}", server, url)


def resident_bytes(pid: int) -> int:
    """Return what the kernel says, at this moment."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
