"""A real fleet that fills the dashboards: shops in two versions, and services in other languages.

All of it sends to the real collector, which Prometheus scrapes. Version 1.4.2 of the shop leaks,
and so do the twins of that name.
"""

from __future__ import annotations

import contextlib
import random
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from examples.mixed_languages.languages import LANGUAGES
from scripts.tools import ToolUnavailableError
from tests import tools
from tests.pipeline import PROGRAMS, Collector, prometheus
from tests.tools import Server, eventually, free_ports, get_json, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SHOP_PROGRAM = Path(__file__).parent / "integration" / "programs" / "busy_shop" / "service.py"
SHOP = "shop"
LIMIT_BYTES = 384 * 2**20
EXPORT_MILLISECONDS = 500
TURN_SECONDS = 0.25


@dataclass(frozen=True)
class Service:
    """One process of the fleet.

    Attributes:
        name: As `service.name`.
        version: As `service.version`.
        leaks: Whether it remembers every visit.
        language: Of examples/mixed_languages, or the shop's own program.
        busy: Twice as much is twice the visits.
    """

    name: str
    version: str
    leaks: bool
    language: str = SHOP
    busy: int = 1

    def paths(self, random_: random.Random) -> list[str]:
        """Return what is visited in one turn: uneven, as traffic is.

        What is always alike could not be told apart.
        """
        if self.language != SHOP:
            return ["/"] * self.busy
        often = (0, 0, 1, 2, 5)
        kinds = ("/cart", f"/item/{random_.randrange(1000)}", "/search")
        return [path for path in kinds for _ in range(self.busy * random_.choice(often))]


SHOPS = (
    Service("shop", "1.4.1", leaks=False),
    Service("shop", "1.4.2", leaks=True),
    Service("shop", "1.4.2", leaks=True, busy=2),
)


def twins(*languages: str) -> tuple[Service, ...]:
    """Return a healthy and a leaking service in each of these languages."""
    return tuple(
        Service(f"{language}-{name}", "2.0.0", leaks=name == "leaking", language=language, busy=2)
        for language in languages
        for name in ("healthy", "leaking")
    )


def sampling(seconds: float) -> dict[str, str]:
    """Return how the shops look at themselves: evidence counts in samples, so often is soon."""
    return {
        "OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS": str(seconds),
        "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": str(seconds),
        "OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "100",
        "OTEL_PYTHON_MEMORY_EVIDENCE_BUDGET_PERCENT": "20",
        "OTEL_PYTHON_MEMORY_LIMIT_BYTES": str(LIMIT_BYTES),
    }


@dataclass
class Fleet:
    """All that runs.

    Attributes:
        url: Of Prometheus.
        collector: What services send to.
        stack: Ends everything.
        folder: Where everything writes.
        servers: Everything, so that what they printed is shown where a test fails.
    """

    url: str
    collector: Collector
    stack: contextlib.ExitStack
    folder: Path
    servers: list[Server] = field(default_factory=list)

    def start_watch(self) -> None:
        """Have the processes judged that do not judge themselves, from now on."""
        options = ["--grpc", self.collector.env["WATCH_ENDPOINT"], "--http", "off"]
        # The collector has kept what could not be delivered before.
        options += ["--max-age-seconds", "10"]
        command = [PROGRAMS / "opentelemetry-memory", "watch", *options]
        watch = running("watch", command, self.folder, _telemetry(self.collector))
        self.servers.append(self.stack.enter_context(watch))

    def start(self, services: Sequence[Service], settings: Mapping[str, str]) -> None:
        """Start services and their visitors, once each of them answers.

        Args:
            services: What is started; where one cannot be built, the test is skipped.
            settings: Variables for the shops.
        """
        programs = [_program(each) for each in services]
        ports = free_ports(len(services))
        visited = {}
        started = []
        for number, (each, program, port) in enumerate(zip(services, programs, ports, strict=True)):
            instance = f"{each.name}-{number}"
            env = {
                **_telemetry(self.collector),
                **(settings if each.language == SHOP else program.env),
                "OTEL_SERVICE_NAME": each.name,
                "OTEL_RESOURCE_ATTRIBUTES": f"service.version={each.version},"
                f"service.namespace=store,service.instance.id={instance}",
                "PORT": str(port),
                "LEAK": "1" if each.leaks else "0",
            }
            server = running(instance, program.command, self.folder, env)
            started.append(self.stack.enter_context(server))
            visited[f"http://127.0.0.1:{port}"] = each
        self.servers += started

        def all_have_answered() -> None:
            for address in visited:
                get_json(f"{address}/")

        eventually(all_have_answered, *started, seconds=90)
        self.stack.enter_context(_visitors(visited))


@dataclass(frozen=True)
class _Program:
    command: Sequence[str | Path]
    env: Mapping[str, str]


def _program(service: Service) -> _Program:
    if service.language == SHOP:
        instrumented = PROGRAMS / "opentelemetry-instrument"
        return _Program([instrumented, sys.executable, SHOP_PROGRAM], {})
    (language,) = (each for each in LANGUAGES if each.name == service.language)
    try:
        return _Program([language.starter()], language.env)
    except ToolUnavailableError as error:
        tools._missing(f"{language.name} cannot be built: {error}")


@contextlib.contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """Run the collector and Prometheus, and whatever is started until the block is left."""
    env = {
        "WATCH_ENDPOINT": f"127.0.0.1:{free_ports(1)[0]}",
        "PROMETHEUS_EXPIRATION": "30s",
    }
    collector = Collector.on_free_ports(folder, "languages.yaml", "watch.yaml", env=env)
    with contextlib.ExitStack() as stack:
        behind = stack.enter_context(collector.running())
        server, url = stack.enter_context(prometheus(folder, collector))
        yield Fleet(url, collector, stack, folder, [behind, server])


def _telemetry(collector: Collector) -> dict[str, str]:
    milliseconds = str(EXPORT_MILLISECONDS)
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url("OTLP_HTTP_PORT"),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRIC_EXPORT_INTERVAL": milliseconds,
        "OTEL_METRIC_EXPORT_TIMEOUT": milliseconds,
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        # It reports a metric of the same name.
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "system_metrics,aiohttp-server,celery,django",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextlib.contextmanager
def _visitors(services: Mapping[str, Service]) -> Iterator[None]:
    """Visit each service from a thread of its own until the block is left."""
    stop = threading.Event()

    def visit(address: str, service: Service) -> None:
        random_ = random.Random(repr(service))  # noqa: S311 - traffic
        while not stop.wait(TURN_SECONDS):
            for path in service.paths(random_):
                with contextlib.suppress(OSError):  # it is ending
                    get_json(f"{address}{path}")

    threads = [threading.Thread(target=visit, args=each) for each in services.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
