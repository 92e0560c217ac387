"""The real programs that tests need: where they are, and how to run and await them.

Without one a test is skipped, with the reason. `REQUIRE_ALL=1` makes such a skip a failure, so that
nothing goes untested unnoticed in CI.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest
from scripts import tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def collector() -> Path:
    """Return the collector that `collector-config/builder.yaml` describes."""
    return _program(tools.COLLECTOR, "otelcol")


def prometheus() -> Path:
    """Return a Prometheus server."""
    return _program(tools.PROMETHEUS, "prometheus")


def prometheus_otlp() -> Path:
    """Return a Prometheus server that takes OTLP."""
    return _program(tools.PROMETHEUS_OTLP, "prometheus-otlp")


def victoria_metrics() -> Path:
    """Return a VictoriaMetrics server."""
    return _program(tools.VICTORIA_METRICS, "victoria-metrics")


def vmalert() -> Path:
    """Return what evaluates rules for VictoriaMetrics."""
    return _program(tools.VICTORIA_METRICS, "vmalert")


def promtool() -> Path:
    """Return Prometheus' own checker of configurations and rules."""
    return _program(tools.PROMETHEUS, "promtool")


def alertmanager() -> Path:
    """Return an Alertmanager server."""
    return _program(tools.ALERTMANAGER, "alertmanager")


def amtool() -> Path:
    """Return Alertmanager's own checker of configurations and routes."""
    return _program(tools.ALERTMANAGER, "amtool")


def node() -> Path:
    """Return Node.js."""
    return _program(tools.NODE, "node")


def vmalert_tool() -> Path:
    """Return what runs the tests of rules as VictoriaMetrics understands them."""
    return _program(tools.VICTORIA_METRICS, "vmalert-tool")


def kubectl() -> Path:
    """Return Kubernetes' command line, for what it does without a cluster."""
    return _program(tools.KUBECTL, "kubectl")


def _program(tool: tools.Tool, name: str) -> Path:
    path = tools.find(tool, name)
    if path is None:
        _missing(f"{name} is missing: {tools.why_missing(tool)}")
    return path


def _missing(reason: str) -> NoReturn:
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{reason} (REQUIRE_ALL=1)", pytrace=False)
    pytest.skip(reason)


# --- running them --------------------------------------------------------------------------

T = TypeVar("T")
ANSWER_SECONDS = 10


@dataclass(frozen=True)
class Server:
    """A program that a test has started."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        """Return everything it has printed so far."""
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """End it politely, then whatever is left of it and its children."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(ANSWER_SECONDS)


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a program in a process group of its own, its output in a file; end it in any case."""
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={**clean_environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name, process, log)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Wait until no other run of the tests on this machine does what has this name."""
    with (Path(tempfile.gettempdir()) / f"{name}.{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def clean_environment() -> dict[str, str]:
    """Return the environment without what would change the programs under test."""
    foreign = ("OTEL_", "BACKEND_", "PYTHON", "GUNICORN_", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def free_ports(count: int) -> list[int]:
    """Return that many ports of the loopback address on which nothing listens, never one twice.

    They are below the range from which the system takes ports for outgoing connections: one of
    those could be gone again by the time that a server asks for it.
    """
    found: list[int] = []
    while len(found) < count:
        port = next(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


_PORTS = iter(random.Random(os.getpid()).sample(range(16_000, 32_000), 16_000))  # noqa: S311


def get_json(url: str, body: object = None, *, seconds: float = ANSWER_SECONDS) -> Any:
    """Return the JSON that a server on loopback answers; with a body, that is posted as JSON."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - always http to loopback
        url, data=content, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=seconds) as response:  # noqa: S310
        text = response.read()
    return json.loads(text) if text else None


def eventually(check: Callable[[], T], *servers: Server, seconds: float = 60) -> T:
    """Return what a check returns, as soon as it neither fails nor cannot reach its server.

    At the deadline, or when a server has ended, the check's last failure is raised, with the end of
    what the servers printed.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except (AssertionError, OSError) as error:  # noqa: PERF203 - failing is what is awaited
            ended = [server.name for server in servers if server.process.poll() is not None]
            if not ended and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            parts = [f"{error or type(error).__name__}", f"ended: {ended}" if ended else ""]
            parts += [f"--- {each.name}\n{each.output()[-3000:]}" for each in servers]
            raise AssertionError("\n".join(filter(None, parts))) from error
