"""Nothing of the user leaves a leaking process: it is full of secrets, and what it tells is read.

Every secret has one word in it, at its beginning and at its end, that no source file contains; see
`programs/clinic`. The evidence must be rich at the same time, or the search would prove nothing.
"""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from tests.otlp_sink import OTHERS
from tests.tools import clean_environment, eventually, running

from opentelemetry.instrumentation.memory._metrics import SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).parent / "programs" / "clinic"
BIN = Path(sys.executable).parent
WORD = "sesame"
# Routes are watched for some minutes.
DEADLINE_SECONDS = 500
MOST_ASKED = 3
# Routes leave by the metric in any case; whether a snapshot has them is a matter of time.
LISTS = ("containers", "types", "sites", "mappings")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="segments need /proc"),
    pytest.mark.timeout(1800),
]


@dataclass
class Sink:
    """Keeps as text what this package sends, by kind; the application's own is its own affair."""

    told: dict[str, list[str]] = field(default_factory=lambda: {"metrics": [], "logs": []})

    def receive(self, path: str, body: bytes) -> None:
        resources: list[Any] = []
        if path == "/v1/metrics":
            resources = list(ExportMetricsServiceRequest.FromString(body).resource_metrics)
        elif path == "/v1/logs":
            resources = list(ExportLogsServiceRequest.FromString(body).resource_logs)
        for resource in resources:
            kind = path.rpartition("/")[2]
            scopes = resource.scope_metrics if kind == "metrics" else resource.scope_logs
            self.told[kind] += [
                str(each) for each in scopes if each.scope.name.startswith(SCOPE_NAME)
            ]


@pytest.fixture(scope="module")
def sink() -> Iterator[tuple[Sink, str]]:
    kept = Sink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_packed = self.headers.get("Content-Encoding") == "gzip"
            kept.receive(self.path, gzip.decompress(body) if is_packed else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield kept, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass(frozen=True)
class Told:
    """Everything that left the process, by where it went."""

    metrics: str
    events: str
    snapshots: str
    documents: tuple[dict[str, Any], ...]
    names_of_files: str
    own_log: str
    output: str
    shown: str

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of one list of all snapshots."""
        found = [each["evidence"] for each in self.documents if each["evidence"] is not None]
        return [row for evidence in found for row in evidence[name]]


@pytest.fixture(scope="module")
def told(sink: tuple[Sink, str], tmp_path_factory: pytest.TempPathFactory) -> Told:
    kept, endpoint = sink
    folder = tmp_path_factory.mktemp("clinic")
    home = folder / f"home_of_{WORD}"
    # Imported from below a home folder; the plugin's file lies where nothing is imported from.
    shutil.copytree(PROGRAM, home / "service", ignore=shutil.ignore_patterns("__pycache__"))
    snapshots = folder / "snapshots"
    arguments = [f"--ward={WORD}", f"{WORD}@example.org"]
    command = [BIN / "opentelemetry-instrument", BIN / "python", "-m", "clinic", *arguments]
    with running(
        "clinic", command, home / "service", environment(endpoint, home, folder)
    ) as server:

        def assert_is_written(reason: str, count: int = 1) -> None:
            written = sorted(snapshots.glob(f"memory-snapshot-*-{reason}.json"))
            assert len(written) >= count, f"{len(written)} snapshots of {reason}"

        eventually(lambda: assert_is_written("confirmed"), server, seconds=DEADLINE_SECONDS)
        # Routes take longest; what is asked for later has them as well.
        eventually(lambda: assert_is_exported(kept), server, seconds=DEADLINE_SECONDS)
        for asked in range(1, MOST_ASKED + 1):
            server.process.send_signal(signal.SIGUSR2)
            eventually(
                lambda asked=asked: assert_is_written("signal", asked),
                server,
                seconds=DEADLINE_SECONDS,
            )
            # A look that would stall a process for long is left out, and a busy machine makes it
            # seem so: it is asked again.
            if is_rich(snapshots):
                break
        output = server.output()
    files = sorted(snapshots.iterdir())
    return Told(
        metrics="\n".join(kept.told["metrics"]),
        events="\n".join(kept.told["logs"]),
        snapshots="\n".join(file.read_text() for file in files),
        documents=tuple(json.loads(file.read_text()) for file in files),
        names_of_files="\n".join(file.name for file in files),
        own_log=(folder / "said.log").read_text(),
        output=output,
        shown="\n".join(show(file) for file in files),
    )


def is_rich(snapshots: Path) -> bool:
    texts = [file.read_text() for file in snapshots.iterdir()]
    found = [json.loads(text)["evidence"] for text in texts]
    rows = [row for evidence in found if evidence is not None for row in evidence["containers"]]
    return any(row["path"] for row in rows) and any("<dynamic>" in text for text in texts)


def environment(endpoint: str, home: Path, folder: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "CLINIC_SECRET": WORD,
        "CLINIC_SAID": str(folder / "said.log"),
        "OTEL_SERVICE_NAME": "clinic",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        # There is a tracer, whose spans tell of routes; they themselves go nowhere.
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": OTHERS,
        "OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS": "0.1",
        "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": "0.1",
        "OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "100",
        "OTEL_PYTHON_MEMORY_LIMIT_BYTES": "4GiB",
        "OTEL_PYTHON_MEMORY_EVIDENCE_BUDGET_PERCENT": "20",
        # All objects are listed, however long a busy machine takes.
        "OTEL_PYTHON_MEMORY_EVIDENCE_PAUSE_SECONDS": "10",
        "OTEL_PYTHON_MEMORY_EVIDENCE_FRAMES": "8",
        "OTEL_PYTHON_MEMORY_REQUEST_WATCH_BYTES": "1",
        "OTEL_PYTHON_MEMORY_SNAPSHOT_DIRECTORY": str(folder / "snapshots"),
        "OTEL_PYTHON_MEMORY_SNAPSHOT_SIGNAL": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def assert_is_exported(kept: Sink) -> None:
    assert any("process.memory.leak.culprit.kind" in each for each in kept.told["logs"])
    assert any("process.memory.leak.risk" in each for each in kept.told["metrics"])
    assert any("process.memory.route.growth" in each for each in kept.told["metrics"])


def show(file: Path) -> str:
    """Return what the terminal shows of a snapshot."""
    ended = subprocess.run(
        [BIN / "opentelemetry-memory", "snapshot", "show", file],
        env={**clean_environment(), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout + ended.stderr


def test_no_source_file_contains_the_secret() -> None:
    sources = sorted(PROGRAM.rglob("*.py"))
    assert len(sources) >= 5
    assert not [file for file in sources if WORD in file.read_text().lower()]


@pytest.mark.parametrize("name", LISTS)
def test_evidence_is_rich_enough_to_tell_secrets(told: Told, name: str) -> None:
    assert told.rows(name)


def test_evidence_has_containers_with_paths_and_lines_with_callers(told: Told) -> None:
    assert [row for row in told.rows("containers") if row["path"] is not None]
    assert [row for row in told.rows("sites") if row["callers"]]


def test_evidence_tells_of_what_was_named_at_run_time_without_its_name(told: Told) -> None:
    assert "made at run time" in told.snapshots
    assert "<dynamic>" in told.snapshots


def test_each_way_out_was_taken(told: Told) -> None:
    assert "process.memory.leak.risk" in told.metrics
    assert "process.memory.leak.culprit.kind" in told.events
    assert "process.memory.route.growth" in told.metrics
    assert {each["reason"] for each in told.documents} >= {"confirmed", "signal"}
    assert len(told.shown) > 1000


@pytest.mark.parametrize(
    "way_out",
    ["metrics", "events", "snapshots", "names_of_files", "own_log", "output", "shown"],
)
def test_no_secret_leaves_the_process(told: Told, way_out: str) -> None:
    text = cast("str", getattr(told, way_out))
    found = [line for line in text.replace(",", "\n").splitlines() if WORD in line.lower()]
    assert not found, found[:20]


def test_no_absolute_path_leaves_the_process(told: Told) -> None:
    for document in told.documents:
        assert not [
            text for text in texts(document["evidence"]) if text.startswith(("/home", "/t"))
        ]


def texts(value: object) -> Iterator[str]:
    """Yield every text within a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
