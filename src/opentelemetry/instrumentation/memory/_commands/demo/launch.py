"""Starts the sample service as a user would, and ends every process of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from typing_extensions import Self

_PACKAGE: Final = "opentelemetry.instrumentation.memory._commands.demo"
_LOOPBACK: Final = "127.0.0.1"
_SERVICE_LIMIT: Final = "512MiB"
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 5.0
_REQUEST_SECONDS: Final = 20.0
_LOG_TAIL_BYTES: Final = 2000

# Everything else stays outside: OTEL_*, PYTHON*, GUNICORN_CMD_ARGS, LD_PRELOAD, proxies.
_INHERITED_VARIABLES: Final = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ",
)  # fmt: skip


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def service_environment(
    environ: Mapping[str, str],
    receiver_port: int,
    export_interval_seconds: float,
    sampling_interval_seconds: float,
) -> dict[str, str]:
    """Return the environment of the sample service: little of the user's, all of the demo's."""
    others = {each.name for each in entry_points(group="opentelemetry_instrumentor")} - {"memory"}
    return {
        **{name: environ[name] for name in _INHERITED_VARIABLES if name in environ},
        "OTEL_SERVICE_NAME": "memory-demo",
        # gunicorn's arbiter is instrumented as well; the pid tells its exports from the worker's.
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{_LOOPBACK}:{receiver_port}",
        "OTEL_METRIC_EXPORT_INTERVAL": f"{export_interval_seconds * 1000:.0f}",
        "OTEL_METRIC_EXPORT_TIMEOUT": "2000",
        # An event is shown when it happens, not when a batch is full.
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
        # In seconds, with retries: a service that outlives its receiver does not linger.
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        "OTEL_PYTHON_DISTRO": "distro",
        "OTEL_PYTHON_CONFIGURATOR": "configurator",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(sorted(others)),
        # Evidence counts in samples, and a minute is short; the summary tells the price.
        "OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS": f"{sampling_interval_seconds:g}",
        "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": f"{sampling_interval_seconds:g}",
        "OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "100",
        "OTEL_PYTHON_MEMORY_LIMIT_BYTES": _SERVICE_LIMIT,
    }


def program(name: str) -> str:
    """Return the path of a program that belongs to this Python, activated or not.

    Raises:
        DemoError: It is not there.
    """
    folders = (Path(sys.executable).parent, Path(sysconfig.get_path("scripts")))
    for folder in folders:
        if (folder / name).is_file():
            return str(folder / name)
    raise DemoError(
        f"{name} is not in {folders[0]}. "
        "Install it with: pip install 'opentelemetry-instrumentation-memory[demo]'"
    )


class Service:
    """The sample service in a session of its own, from `__enter__` to `__exit__`.

    What ends it is `__exit__`; should this process be killed, a pipe that closes with it does.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.port = 0
        self.requests = 0

    def __enter__(self) -> Self:
        command = [
            program("opentelemetry-instrument"),
            program("gunicorn"),
            "-c",
            f"python:{_PACKAGE}.server_settings",
        ]
        self._log = tempfile.TemporaryFile()
        # The port is bound here, so that nobody else can take it in between.
        with socket.create_server((_LOOPBACK, 0)) as listener:
            self.port = listener.getsockname()[1]
            self._process = subprocess.Popen(  # noqa: S603 - programs of this very environment
                [*command, "-b", f"fd://{listener.fileno()}", f"{_PACKAGE}.service:app"],
                cwd=sys.prefix,
                env=dict(self._environment),
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(listener.fileno(),),
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            try:
                _end_group(process)
            finally:
                if process.stdin is not None:
                    process.stdin.close()
        if self._log is not None:
            self._log.close()

    def wait_until_ready(self, is_interrupted: Callable[[], bool]) -> int | None:
        """Return the worker's pid when it answers, or None when interrupted.

        Raises:
            DemoError: It ended, or did not answer in time.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if is_interrupted():
                return None
            self.check()
            try:
                return int(self.send("GET", "/", timeout_seconds=0.5)["pid"])
            except OSError:
                time.sleep(0.05)
        raise DemoError(f"the service did not answer in {_READY_SECONDS:g} s{self._log_tail()}")

    def send(
        self, method: str, path: str, timeout_seconds: float = _REQUEST_SECONDS
    ) -> dict[str, Any]:
        """Send one request and return the answer's members.

        Raises:
            OSError: There was no answer, or not the expected one.
        """
        connection = http.client.HTTPConnection(_LOOPBACK, self.port, timeout=timeout_seconds)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
        except http.client.HTTPException as error:
            raise OSError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise OSError(f"{method} {path}: {response.status} {response.reason}")
        self.requests += 1
        return dict(json.loads(body))

    def check(self) -> None:
        """Do nothing while the service runs.

        Raises:
            DemoError: It has ended.
        """
        code = None if self._process is None else self._process.poll()
        if code is not None:
            raise DemoError(f"the service ended with exit code {code}{self._log_tail()}")

    def _log_tail(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - _LOG_TAIL_BYTES))
        text = self._log.read().decode(errors="replace").strip()
        return f"; its last words:\n{text}" if text else ""


def _end_group(process: subprocess.Popen[bytes]) -> None:
    _signal_group(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
    # A worker may outlive its arbiter; the group's number is taken as long as it does.
    _signal_group(process.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM when all are zombies
        return
