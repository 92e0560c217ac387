"""Run the same service in every language, healthy and leaking, and see them side by side.

Each of them goes through the collector, which makes one family of metrics of what they send, to
Prometheus, and through the watch, which judges each process. All of it is on loopback, and ends
with this program.
"""
# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from fleet_table import Fleet, table
from languages import LANGUAGES, ROOT, tools
from visitors import visitors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
CONFIGS = ROOT / "collector-config"
COLLECTOR_FILES = ("gateway.yaml", "languages.yaml", "watch.yaml")
TWINS = ("healthy", "leaking")
SAMPLE_MILLISECONDS = 1000
REPORT_SECONDS = 15
PATIENCE_SECONDS = 30
CONFIRMED = 0.9


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what can be built, run all of it, print what Prometheus knows of it."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        programs = _pipeline_programs()
    except tools.ToolUnavailableError as error:
        print(f"cannot run: {error}", file=sys.stderr)
        return 1
    starters, left_out = _starters(options.languages)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-")))
        env = _ports()
        _start_pipeline(stack, programs, folder, env)
        urls = _start_services(stack, starters, folder, env)
        stack.enter_context(visitors(urls, options.visits_per_second))
        fleet = _look(f"http://127.0.0.1:{env['PROMETHEUS_SERVER_PORT']}", urls, options)
    for name, reason in left_out.items():
        print(f"{name} was left out: {reason}")
    if options.json:
        print(json.dumps({"services": fleet.seen, "left_out": left_out}))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=240, help="how long (default: 240)")
    parser.add_argument(
        "--visits-per-second", type=float, default=10, help="to each service (default: 10)"
    )
    parser.add_argument(
        "--until-confirmed", action="store_true", help="end when every leaking twin is confirmed"
    )
    parser.add_argument("--json", action="store_true", help="print what was seen, as the last line")
    names = [each.name for each in LANGUAGES]
    parser.add_argument("languages", nargs="*", help=f"of {', '.join(names)} (default: all)")
    options = parser.parse_args(arguments)
    unknown = sorted({*options.languages} - {*names})
    if unknown:
        parser.error(f"no such language: {', '.join(unknown)}")
    return options


# --- what is needed ------------------------------------------------------------------------


def _pipeline_programs() -> dict[str, Path]:
    for tool in (tools.COLLECTOR, tools.PROMETHEUS):
        tools.ensure(tool)
    return {
        "collector": tools.COLLECTOR.folder() / tools.COLLECTOR.programs["otelcol"],
        "prometheus": tools.find(tools.PROMETHEUS, "prometheus") or Path("prometheus"),
        "watch": Path(sys.executable).parent / "opentelemetry-memory",
    }


def _starters(names: Sequence[str]) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the starter of each language that can be built here, and why the others cannot."""
    starters, left_out = {}, {}
    for each in LANGUAGES:
        if names and each.name not in names:
            continue
        try:
            starters[each.name] = each.starter()
        except tools.ToolUnavailableError as error:
            left_out[each.name] = str(error)
            print(f"{each.name} is left out: {error}", flush=True)
    return starters, left_out


def _ports() -> dict[str, str]:
    """Return the pipeline's settings, with ports on which nothing listens."""
    names = ("OTLP_GRPC", "OTLP_HTTP", "PROMETHEUS", "COLLECTOR_METRICS", "HEALTH", "WATCH")
    names += ("PROMETHEUS_SERVER", "SCRAPE_HEALTHY", "SCRAPE_LEAKING")
    env = {f"{name}_PORT": str(port) for name, port in zip(names, _free_ports(9), strict=True)}
    env["WATCH_ENDPOINT"] = f"127.0.0.1:{env['WATCH_PORT']}"
    for twin in TWINS:
        name = f"SCRAPE_{twin.upper()}"
        env[name] = f"127.0.0.1:{env[f'{name}_PORT']}"
    env["SCRAPE_INTERVAL"] = f"{SAMPLE_MILLISECONDS}ms"
    env["PROMETHEUS_EXPIRATION"] = "30s"
    return env


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        loopback = ("127.0.0.1", 0)
        sockets = [stack.enter_context(socket.create_server(loopback)) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in sockets]


# --- running it ----------------------------------------------------------------------------


@contextlib.contextmanager
def _running(
    name: str, command: Sequence[str | Path], folder: Path, env: Mapping[str, str]
) -> Iterator[None]:
    """Run a program in a process group of its own; end it in any case."""
    foreign = ("OTEL_", "BACKEND_", "MEMORY_WATCH_")
    inherited = {key: each for key, each in os.environ.items() if not key.startswith(foreign)}
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - the programs of this example
            [str(part) for part in command],
            cwd=folder,
            env={**inherited, **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
        if process.poll() is not None:
            end = (folder / f"{name}.log").read_text(errors="replace")[-2000:]
            print(f"{name} has ended by itself, with {process.returncode}:\n{end}")
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)


def _start_pipeline(
    stack: contextlib.ExitStack, programs: Mapping[str, Path], folder: Path, env: dict[str, str]
) -> None:
    configs = [CONFIGS / name for name in COLLECTOR_FILES] + [HERE / "scrape.yaml"]
    command = [programs["collector"], *(f"--config={each}" for each in configs)]
    stack.enter_context(_running("collector", command, folder, env))
    _await(f"http://127.0.0.1:{env['HEALTH_PORT']}/", folder / "collector.log")
    scrape = {
        "global": {"scrape_interval": f"{SAMPLE_MILLISECONDS}ms"},
        "scrape_configs": [
            {
                "job_name": "fleet",
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{env['PROMETHEUS_PORT']}"]}],
            }
        ],
    }
    (folder / "prometheus.yaml").write_text(json.dumps(scrape))  # JSON is YAML
    command = [
        programs["prometheus"],
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{env['PROMETHEUS_SERVER_PORT']}",
    ]
    stack.enter_context(_running("prometheus", command, folder, {}))
    command = [programs["watch"], "watch", "--grpc", env["WATCH_ENDPOINT"], "--http", "off"]
    stack.enter_context(_running("watch", command, folder, _telemetry(env)))
    ready = f"http://127.0.0.1:{env['PROMETHEUS_SERVER_PORT']}/-/ready"
    _await(ready, folder / "prometheus.log")


def _start_services(
    stack: contextlib.ExitStack, starters: Mapping[str, Path], folder: Path, env: dict[str, str]
) -> dict[str, str]:
    """Start two of each, and return their addresses by name."""
    ports = iter(_free_ports(len(starters) * len(TWINS)))
    urls = {}
    for each in LANGUAGES:
        for twin in TWINS if each.name in starters else ():
            name, port = f"{each.name}-{twin}", next(ports)
            settings = {
                "PORT": str(port),
                "METRICS_PORT": env[f"SCRAPE_{twin.upper()}_PORT"],
                "LEAK": "1" if twin == "leaking" else "0",
                "OTEL_SERVICE_NAME": name,
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                **_telemetry(env),
                **each.env,
            }
            stack.enter_context(_running(name, [starters[each.name]], folder, settings))
            urls[name] = f"http://127.0.0.1:{port}/"
    return urls


def _telemetry(env: Mapping[str, str]) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{env['OTLP_HTTP_PORT']}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRIC_EXPORT_INTERVAL": str(SAMPLE_MILLISECONDS),
        "OTEL_METRIC_EXPORT_TIMEOUT": str(SAMPLE_MILLISECONDS),
    }


def _await(url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
                return
        except OSError:  # noqa: PERF203 - failing is what is awaited
            if time.monotonic() > deadline:
                print(log.read_text(errors="replace")[-2000:], file=sys.stderr)
                raise
            time.sleep(0.2)


# --- looking at it -------------------------------------------------------------------------


def _look(prometheus: str, urls: Mapping[str, str], options: argparse.Namespace) -> Fleet:
    """Print the fleet from time to time until the end; return what was seen of it."""
    fleet = Fleet(prometheus, list(urls))
    begin = time.monotonic()
    reported = begin
    print(f"{len(urls)} services; Prometheus: {prometheus}", flush=True)
    while (now := time.monotonic()) < begin + options.seconds:
        time.sleep(min(1.0, begin + options.seconds - now))
        fleet.look()
        done = options.until_confirmed and all(
            fleet.seen[name].get("risk", 0) >= CONFIRMED for name in urls if "leaking" in name
        )
        if now - reported >= REPORT_SECONDS or done:
            reported = now
            print(f"\nafter {now - begin:.0f} s\n{table(fleet)}", flush=True)
        if done:
            break
    print(f"\nat the end\n{table(fleet)}", flush=True)
    return fleet


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
