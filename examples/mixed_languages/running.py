"""Starts the pipeline and the services, each a process of its own, and ends them."""
# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from languages import LANGUAGES, ROOT, tools
from scripts.make_leak_rules import rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CONFIGS = ROOT / "collector-config"
COLLECTOR_FILES = (
    *(CONFIGS / name for name in ("gateway.yaml", "languages.yaml", "watch.yaml")),
    Path(__file__).resolve().parent / "scrape.yaml",
)
TWINS = ("healthy", "leaking")
SAMPLE_MILLISECONDS = 500
PATIENCE_SECONDS = 30


class Pipeline:
    """The collector and Prometheus, on ports of their own, until the stack is closed.

    Raises:
        ToolUnavailableError: One of them cannot be had here; the message says why.
    """

    def __init__(self, stack: contextlib.ExitStack, folder: Path) -> None:
        for tool in (tools.COLLECTOR, tools.PROMETHEUS):
            tools.ensure(tool)
        self._stack = stack
        self._folder = folder
        # More than there can be services, so that none is given away twice.
        self._ports = iter(_free_ports(64))
        self._env = self._settings()
        self._rules = folder / "leak.yaml"
        self.url = f"http://127.0.0.1:{self._env['PROMETHEUS_SERVER_PORT']}"
        self._start_collector()
        self._start_prometheus()

    def _start_collector(self) -> None:
        program = tools.find(tools.COLLECTOR, "otelcol")
        self._start("collector", [program, *(f"--config={each}" for each in COLLECTOR_FILES)])
        self._await("collector", f"http://127.0.0.1:{self._env['HEALTH_PORT']}/")

    def _start_prometheus(self) -> None:
        target = {
            "job_name": "fleet",
            "honor_labels": True,
            "static_configs": [{"targets": [f"127.0.0.1:{self._env['PROMETHEUS_PORT']}"]}],
        }
        scrape = {
            "global": {"scrape_interval": f"{SAMPLE_MILLISECONDS}ms"},
            "scrape_configs": [target],
            "rule_files": [str(self._rules)],  # there from start_judges() on
        }
        config = self._folder / "prometheus.yaml"
        config.write_text(json.dumps(scrape))  # JSON is YAML
        command = [
            tools.find(tools.PROMETHEUS, "prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={self._folder / 'prometheus'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--web.enable-lifecycle",
        ]
        self._start("prometheus", command)
        self._await("prometheus", f"{self.url}/-/ready")

    def start_judges(self) -> None:
        """Start the watch and the rules, which see what comes from now on."""
        self._start_watch()
        self._start_rules()

    def _start_watch(self) -> None:
        program = Path(sys.executable).parent / "opentelemetry-memory"
        command = [program, "watch", "--grpc", self._env["WATCH_ENDPOINT"], "--http", "off"]
        # The collector has kept what could not be delivered before.
        self._start("watch", [*command, "--max-age-seconds", "10"], self._telemetry())

    def _start_rules(self) -> None:
        self._rules.write_text(rules(SAMPLE_MILLISECONDS / 1000))
        reload = urllib.request.Request(f"{self.url}/-/reload", method="POST")  # noqa: S310 - loopback
        urllib.request.urlopen(reload, timeout=PATIENCE_SECONDS).close()  # noqa: S310

    def start_services(self, starters: Mapping[str, Path]) -> dict[str, str]:
        """Start two services of each language, and return their addresses by name."""
        languages = [each for each in LANGUAGES if each.name in starters]
        urls = {}
        for language in languages:
            for twin in TWINS:
                name, port = f"{language.name}-{twin}", next(self._ports)
                settings = {
                    **self._telemetry(),
                    "PORT": str(port),
                    "METRICS_PORT": self._env[f"SCRAPE_{twin.upper()}_PORT"],
                    "LEAK": "1" if twin == "leaking" else "0",
                    "OTEL_SERVICE_NAME": name,
                    "OTEL_TRACES_EXPORTER": "none",
                    "OTEL_LOGS_EXPORTER": "none",
                    **language.env,
                }
                self._start(name, [starters[language.name]], settings)
                urls[name] = f"http://127.0.0.1:{port}/"
        return urls

    def _settings(self) -> dict[str, str]:
        """Return the collector's variables, with ports on which nothing listens."""
        names = ("OTLP_GRPC", "OTLP_HTTP", "PROMETHEUS", "COLLECTOR_METRICS", "HEALTH", "WATCH")
        names += ("PROMETHEUS_SERVER", "SCRAPE_HEALTHY", "SCRAPE_LEAKING")
        env = {f"{name}_PORT": str(next(self._ports)) for name in names}
        return {
            **env,
            "WATCH_ENDPOINT": f"127.0.0.1:{env['WATCH_PORT']}",
            "SCRAPE_HEALTHY": f"127.0.0.1:{env['SCRAPE_HEALTHY_PORT']}",
            "SCRAPE_LEAKING": f"127.0.0.1:{env['SCRAPE_LEAKING_PORT']}",
            "SCRAPE_INTERVAL": f"{SAMPLE_MILLISECONDS}ms",
            "PROMETHEUS_EXPIRATION": "30s",
        }

    def _telemetry(self) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._env['OTLP_HTTP_PORT']}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": str(SAMPLE_MILLISECONDS),
            "OTEL_METRIC_EXPORT_TIMEOUT": str(SAMPLE_MILLISECONDS),
        }

    def _start(
        self, name: str, command: Sequence[object], env: Mapping[str, str] | None = None
    ) -> None:
        settings = self._env if env is None else env
        self._stack.enter_context(_running(command, self._folder / f"{name}.log", settings))

    def _await(self, name: str, url: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
                    return
            except OSError:  # noqa: PERF203 - failing is what is awaited
                if time.monotonic() > deadline:
                    print(_end_of(self._folder / f"{name}.log"), file=sys.stderr)
                    raise
                time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    """Return ports of loopback on which nothing listens.

    They are below the range from which the system takes ports for outgoing connections: one of
    those could be gone again by the time that a service asks for it.
    """
    found: list[int] = []
    for port in random.sample(range(16_000, 32_000), 16_000):
        if len(found) == count:
            break
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


@contextlib.contextmanager
def _running(command: Sequence[object], log: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Run a program in a process group of its own; end it in any case."""
    foreign = ("OTEL_", "BACKEND_", "LANGUAGES_", "MEMORY_WATCH_")
    inherited = {key: each for key, each in os.environ.items() if not key.startswith(foreign)}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the programs of this example
            [str(part) for part in command],
            cwd=log.parent,
            env={**inherited, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
        if process.poll() is not None:
            print(f"{log.stem} has ended by itself, with {process.returncode}:\n{_end_of(log)}")
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
