"""Recordings as a real Prometheus and a real collector make them, analyzed as a user would."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import tools
from tests.pipeline import Collector
from tests.tools import eventually, free_ports, get_json, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DATA = Path(__file__).resolve().parents[1] / "data" / "analyze"
PROGRAM = Path(sys.executable).with_name("opentelemetry-memory")
BEGIN = 1_700_000_000
# Ten seconds a row, so that at Prometheus' resolution of one the answer has more than one page.
SECONDS_A_ROW = 10
TRUTH = {"leaky": "leak_linear", "steady": "ok_sawtooth"}

Row = dict[str, int]


def rows(instance: str) -> list[Row]:
    """Return the rows of the recording that stands for a process."""
    with gzip.open(DATA / f"{TRUTH[instance]}.csv.gz", "rt", newline="") as file:
        return [
            {name: int(cell) for name, cell in row.items() if name != "time_s"}
            for row in csv.DictReader(file)
        ]


def segments(row: Row) -> Row:
    """Return the resident set of a row by segment, as the package reports it."""
    other = row["rss"] - row["heap_committed"] - row["native_used"]
    return {
        "python_heap": row["heap_used"],
        "native_heap": row["native_used"],
        "retained": row["heap_committed"] - row["heap_used"],
        "other_anonymous": other,
    }


def analyzed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "analyze", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=tools.clean_environment(),
    )


def found(*arguments: str | Path) -> list[dict[str, Any]]:
    """Return the objects that the command prints, none of its inputs being malformed."""
    ended = analyzed(*arguments, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    return [json.loads(line) for line in ended.stdout.splitlines()]


def from_csv(instance: str, folder: Path) -> dict[str, Any]:
    """Return what is found in the same recording as CSV, at the same moments."""
    path = folder / f"{instance}.csv"
    lines = ["time_s,rss,heap_used,heap_committed,native_used,limit"]
    for number, row in enumerate(rows(instance)):
        lines.append(",".join(map(str, (BEGIN + number * SECONDS_A_ROW, *row.values()))))
    path.write_text("\n".join(lines))
    (one,) = found(path)
    return one


# --- Prometheus ----------------------------------------------------------------------------------


def open_metrics() -> Iterator[str]:
    """Yield both recordings in the form that promtool makes blocks of."""
    metrics = {
        "process_memory_usage_bytes": "rss",
        "cpython_memory_heap_used_bytes": "heap_used",
        "cpython_memory_heap_committed_bytes": "heap_committed",
        "process_memory_limit_bytes": "limit",
    }
    recordings = {instance: rows(instance) for instance in TRUTH}
    for name, column in metrics.items():
        yield f"# TYPE {name} gauge"
        for instance, recording in recordings.items():
            of = f'service_name="shop",service_instance_id="{instance}"'
            for number, row in enumerate(recording):
                yield f"{name}{{{of}}} {row[column]} {BEGIN + number * SECONDS_A_ROW}"
    yield "# TYPE process_memory_resident_bytes gauge"
    for instance, recording in recordings.items():
        of = f'service_name="shop",service_instance_id="{instance}"'
        for number, row in enumerate(recording):
            for segment, value in segments(row).items():
                labels = f'{of},process_memory_segment="{segment}"'
                time = BEGIN + number * SECONDS_A_ROW
                yield f"process_memory_resident_bytes{{{labels}}} {value} {time}"
    yield "# EOF\n"


@pytest.fixture(scope="module")
def prometheus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a server that has both recordings stored."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "recordings.txt").write_text("\n".join(open_metrics()))
    made = subprocess.run(
        [tools.promtool(), "tsdb", "create-blocks-from", "openmetrics",
         folder / "recordings.txt", folder / "stored"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (folder / "prometheus.yaml").write_text("{}")
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command: Sequence[str | Path] = [
        tools.prometheus(),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'stored'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
    ]
    with running("prometheus", command, folder) as server:

        def has_stored() -> None:
            query = f"query=count(process_memory_usage_bytes)&time={BEGIN + 60}"
            answer = get_json(f"http://{address}/api/v1/query?{query}")
            assert answer["data"]["result"]

        eventually(has_stored, server)
        yield f"http://{address}"


def asked(step: float = SECONDS_A_ROW) -> list[str]:
    end = BEGIN + SECONDS_A_ROW * (len(rows("leaky")) - 1)
    return ["--start", str(BEGIN), "--end", str(end), "--step", str(step)]


def test_a_server_says_what_the_file_says(prometheus_url: str, tmp_path: Path) -> None:
    both = found(prometheus_url, *asked())
    assert [each.pop("series") for each in both] == ["shop/leaky", "shop/steady"]
    assert both == [from_csv(instance, tmp_path) for instance in TRUTH]
    assert [each["leak"] for each in both] == [True, False]


def test_an_answer_of_more_points_than_a_page_holds_is_read_to_its_end(
    prometheus_url: str,
) -> None:
    query = 'process_memory_usage_bytes{service_instance_id="leaky"}'
    (one,) = found(prometheus_url, "--query", query, *asked(step=1))
    assert one["leak"] is True
    assert one["segment"] == "other_anonymous"
    # Of the leak at the end only the second page tells.
    page_end = BEGIN + 11_000
    recording = rows("leaky")
    assert recording[-1]["rss"] > recording[1100]["rss"]
    limited = [*asked(step=1)[:2], "--end", str(page_end), "--step", "1"]
    (first_page,) = found(prometheus_url, "--query", query, *limited)
    assert one["alarms_s"][: len(first_page["alarms_s"])] == first_page["alarms_s"]
    assert one["reason"] != first_page["reason"]


def test_a_saved_answer_is_a_file_like_any_other(prometheus_url: str, tmp_path: Path) -> None:
    start, end, step = asked()[1::2]
    query = "process_memory_resident_bytes"
    url = f"{prometheus_url}/api/v1/query_range?query={query}&start={start}&end={end}&step={step}"
    (tmp_path / "answer.json").write_text(json.dumps(get_json(url), indent=1))
    both = found(tmp_path / "answer.json")
    assert [(each["series"], each["leak"], each["segment"]) for each in both] == [
        ("shop/leaky", True, "python_heap"),
        ("shop/steady", False, None),
    ]


def test_what_a_server_refuses_is_told_and_the_files_are_analyzed(prometheus_url: str) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    ended = analyzed(
        prometheus_url, nobody, DATA / "leak_linear.csv.gz", "--query", "up{", *asked(), "--json"
    )
    assert ended.returncode == 2
    assert f"{prometheus_url}: found the error 'bad_data: " in ended.stderr
    assert f"{nobody}: found no answer ([Errno 111] Connection refused)" in ended.stderr
    refused, unreachable, leaking = [json.loads(line) for line in ended.stdout.splitlines()]
    assert "bad_data" in refused["reason"]
    assert "Connection refused" in unreachable["reason"]
    assert leaking["leak"] is True


def test_a_query_without_result_is_told(prometheus_url: str) -> None:
    ended = analyzed(prometheus_url, "--query", "nothing_of_this_name", *asked())
    assert ended.returncode == 2
    assert "found no sample, expected" in ended.stderr


# --- the collector -------------------------------------------------------------------------------


def requests(per_request: int = 100) -> Iterator[dict[str, Any]]:
    """Yield both recordings as exports of two processes, many moments a request."""
    recordings = {instance: rows(instance) for instance in TRUTH}
    for first in range(0, len(recordings["leaky"]), per_request):
        yield {
            "resourceMetrics": [
                resource_metrics(instance, number, recordings[instance][number])
                for number in range(first, min(first + per_request, len(recordings["leaky"])))
                for instance in TRUTH
            ]
        }


def resource_metrics(instance: str, number: int, row: Row) -> dict[str, Any]:
    time = str((BEGIN + number * SECONDS_A_ROW) * 10**9)

    def attributes(**of: str) -> list[Any]:
        return [
            {"key": key.replace("_", "."), "value": {"stringValue": value}}
            for key, value in of.items()
        ]

    def metric(name: str, *points: dict[str, Any], kind: str = "gauge") -> dict[str, Any]:
        sum_only = {"aggregationTemporality": 2} if kind == "sum" else {}
        return {"name": name, "unit": "By", kind: {"dataPoints": points, **sum_only}}

    def point(value: int, **of: str) -> dict[str, Any]:
        return {"timeUnixNano": time, "asInt": str(value), "attributes": attributes(**of)}

    metrics = [
        metric("process.memory.usage", point(row["rss"]), kind="sum"),
        metric(
            "process.memory.resident",
            *(point(value, process_memory_segment=name) for name, value in segments(row).items()),
        ),
        metric("cpython.memory.heap.used", point(row["heap_used"])),
        metric("cpython.memory.heap.committed", point(row["heap_committed"])),
        metric("process.memory.limit", point(row["limit"])),
    ]
    resource = attributes(service_name="shop", service_instance_id=instance)
    scopes = [{"scope": {"name": "memory"}, "metrics": metrics}]
    return {"resource": {"attributes": resource}, "scopeMetrics": scopes}


def test_a_file_of_the_collector_says_what_the_csv_says(tmp_path: Path) -> None:
    collector = Collector.on_free_ports(tmp_path, "record.yaml")
    moments = len(rows("leaky"))
    with collector.running() as server:
        for request in requests():
            get_json(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", request)
        recording = tmp_path / "metrics.jsonl"

        def has_written() -> None:
            text = recording.read_text()
            assert text.count('"process.memory.limit"') == 2 * moments
            assert text.endswith("\n")

        eventually(has_written, server)
    both = found(recording)
    assert [each.pop("series") for each in both] == ["shop/leaky", "shop/steady"]
    assert both == [from_csv(instance, tmp_path) for instance in TRUTH]
    assert [each["leak"] for each in both] == [True, False]
