"""The whole way with nothing simulated: gunicorn workers -> collector -> Prometheus -> PromQL."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.pipeline import Collector, Pipeline, pipeline, resident_bytes
from tests.tools import eventually, get_json

if TYPE_CHECKING:
    from pathlib import Path

MEBIBYTE = 2**20
TOLERANCE = 0.03
OURS = '{service_name="sample"}'

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is what answers are held to")


def test_promql_answers_for_both_workers_what_proc_says(tmp_path: Path) -> None:
    collector = Collector.on_free_ports(tmp_path)
    with collector.running() as server, pipeline(tmp_path, collector) as pipe:
        workers = pipe.workers()
        answer = eventually(
            lambda: assert_answer_is_what_proc_says(pipe, workers),
            *(server, pipe.service, pipe.prometheus),
        )
        # One worker holds 64 MiB, the other 128: neither their sum nor the same one twice.
        small, large = sorted(answer.values())
        assert large - small == pytest.approx(64 * MEBIBYTE, rel=TOLERANCE)
        print(f"PromQL {answer}, pids {workers}")  # noqa: T201 - shown with pytest -s


def test_segments_add_up_to_usage_at_every_timestamp(tmp_path: Path) -> None:
    # With the timestamps of collection, series of one collection meet in Prometheus however the
    # scrape fell; and memory moves all the while, so that two moments cannot pass for one.
    collector = Collector.on_free_ports(tmp_path, env={"PROMETHEUS_SEND_TIMESTAMPS": "true"})
    often = {
        "OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS": "0.05",
        "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": "0.1",
    }
    with collector.running() as server, pipeline(tmp_path, collector, **often) as pipe:
        workers = pipe.workers()

        def enough_different_moments() -> None:
            get_json(f"{pipe.service_url}/hold/1", {})
            usage, _ = usage_and_segments(pipe)
            for instance in workers:
                seen = {value for (of, _), value in usage.items() if of == instance}
                assert len(seen) >= 5, f"{instance}: {len(seen)} different values"

        eventually(enough_different_moments, server, pipe.service, pipe.prometheus)
        usage, segments = usage_and_segments(pipe)
        moments = {key for key in usage.keys() & segments.keys() if key[0] in workers}
        assert len(moments) >= 10
        unequal = {
            key: (usage[key], segments[key])
            for key in moments
            if usage[key] != sum(segments[key].values())
        }
        assert unequal == {}


Moment = tuple[str, float]


def usage_and_segments(
    pipe: Pipeline,
) -> tuple[dict[Moment, float], dict[Moment, dict[str, float]]]:
    """Return the stored samples by instance and timestamp: usage, and each segment."""
    segments: dict[Moment, dict[str, float]] = {}
    for series in pipe.query(f"process_memory_resident_bytes{OURS}[5m]"):
        labels = series["metric"]
        for timestamp, value in series["values"]:
            moment = segments.setdefault((labels["service_instance_id"], timestamp), {})
            moment[labels["process_memory_segment"]] = float(value)
    # Asked after the segments: a moment that is in both answers is in both completely.
    usage = {
        (series["metric"]["service_instance_id"], timestamp): float(value)
        for series in pipe.query(f"process_memory_usage_bytes{OURS}[5m]")
        for timestamp, value in series["values"]
    }
    return usage, segments


@pytest.mark.parametrize("outage", ["ends", "hangs"])
def test_collector_down_costs_nothing_and_data_flows_again(tmp_path: Path, outage: str) -> None:
    collector = Collector.on_free_ports(tmp_path)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(collector.running())
        pipe = stack.enter_context(pipeline(tmp_path, collector))
        workers = pipe.workers()
        eventually(lambda: assert_answer_is_what_proc_says(pipe, workers), first, pipe.service)
        before = {pid: resident_bytes(pid) for pid in workers.values()}

        if outage == "ends":
            first.stop()
        else:
            os.killpg(first.process.pid, signal.SIGSTOP)
        failed_before = failed_exports(pipe)

        def exports_have_failed() -> None:
            # Every request is answered, by the same workers, whatever the exporter goes through.
            for _ in range(20):
                assert get_json(pipe.service_url)["pid"] in before
            assert failed_exports(pipe) - failed_before >= 6

        eventually(exports_have_failed, pipe.service)
        for pid, bytes_before in before.items():
            assert resident_bytes(pid) - bytes_before < 4 * MEBIBYTE

        if outage == "ends":
            second = stack.enter_context(collector.running())
        else:
            os.killpg(first.process.pid, signal.SIGCONT)
            second = first
        # What the collector kept from before the outage cannot answer this: memory is another now.
        pipe.hold_more(workers, mebibytes=16)
        eventually(lambda: assert_answer_is_what_proc_says(pipe, workers), second, pipe.service)
        assert pipe.workers() == workers


def failed_exports(pipe: Pipeline) -> int:
    """Return how many exports the workers have given up so far."""
    return pipe.service.output().count("Failed to export")


@pytest.mark.parametrize("forward", ["forward.yaml", "forward-grpc.yaml"])
def test_forwarded_metrics_keep_their_resource_and_the_scrape_loses_commands(
    tmp_path: Path, forward: str
) -> None:
    backend = Collector.on_free_ports(tmp_path / "backend", "record.yaml")
    port = "OTLP_GRPC_PORT" if "grpc" in forward else "OTLP_HTTP_PORT"
    env = {"BACKEND_OTLP_ENDPOINT": backend.url(port), "BACKEND_OTLP_INSECURE": "true"}
    gateway = Collector.on_free_ports(tmp_path / "gateway", forward, env=env)
    with backend.running() as behind, gateway.running() as server:
        get_json(f"{gateway.url('OTLP_HTTP_PORT')}/v1/metrics", ONE_GAUGE)

        def arrived() -> str:
            line = (backend.folder / "metrics.jsonl").read_text()
            assert line.endswith("\n")
            return line

        received = json.loads(eventually(arrived, server, behind))["resourceMetrics"][0]
        sent = ONE_GAUGE["resourceMetrics"][0]
        assert received["resource"]["attributes"] == sent["resource"]["attributes"]

        def scraped() -> str:
            text = gateway.scrape()
            assert "process_memory_leak_risk_ratio{" in text
            return text

        text = eventually(scraped, server)
        assert 'service_instance_id="one"' in text
        assert "secret" not in text


ONE_GAUGE: dict[str, Any] = {
    "resourceMetrics": [
        {
            "resource": {
                "attributes": [
                    {"key": "service.name", "value": {"stringValue": "sample"}},
                    {"key": "service.instance.id", "value": {"stringValue": "one"}},
                    {"key": "process.command_line", "value": {"stringValue": "run --key secret"}},
                ]
            },
            "scopeMetrics": [
                {
                    "metrics": [
                        {
                            "name": "process.memory.leak.risk",
                            "unit": "1",
                            "gauge": {
                                "dataPoints": [
                                    {"timeUnixNano": f"{time.time_ns()}", "asDouble": 0.25}
                                ]
                            },
                        }
                    ]
                }
            ],
        }
    ]
}


def test_collector_listens_on_loopback_only(tmp_path: Path) -> None:
    collector = Collector.on_free_ports(tmp_path)
    with collector.running() as server:
        sockets = psutil.Process(server.process.pid).net_connections("inet")
        listening = [each.laddr for each in sockets if each.status == psutil.CONN_LISTEN]
        assert {address.ip for address in listening} == {"127.0.0.1"}
        assert {str(address.port) for address in listening} == set(collector.env.values())


def assert_answer_is_what_proc_says(pipe: Pipeline, workers: dict[str, int]) -> dict[str, float]:
    answer = pipe.values(f"process_memory_usage_bytes{OURS}")
    truth = {instance: resident_bytes(pid) for instance, pid in workers.items()}
    assert set(answer) >= set(truth), (answer, truth)
    for instance, expected in truth.items():
        assert math.isclose(answer[instance], expected, rel_tol=TOLERANCE), (answer, truth)
    return {instance: answer[instance] for instance in truth}
