"""The watch beside a real collector: a fleet of several languages in, verdicts out."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from examples.mixed_languages.languages import LANGUAGES
from scripts.tools import ToolUnavailableError
from tests import tools
from tests.pipeline import Collector
from tests.tools import eventually, free_ports, running
from tests.watching import (
    BEGAN,
    COMMAND,
    FLEET,
    INTERVAL_SECONDS,
    LEAKING,
    MOMENTS,
    Event,
    Sink,
    expected_events,
    post,
    same,
    watch,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def expected() -> set[Event]:
    return expected_events()


def test_leaking_processes_of_every_runtime_are_confirmed_and_healthy_ones_are_not(
    expected: set[Event],
) -> None:
    confirmed = {event.instance for event in expected if event.state == "confirmed"}
    assert confirmed == {process.name for process in LEAKING}


def test_verdicts_come_back_by_way_of_a_collector(tmp_path: Path, expected: set[Event]) -> None:
    with Sink() as sink, watch(tmp_path, sink) as watched:
        env = {"WATCH_ENDPOINT": watched.grpc}
        collector = Collector.on_free_ports(tmp_path / "collector", "watch.yaml", env=env)
        with collector.running() as server:
            post(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", range(MOMENTS))

            def all_have_arrived() -> None:
                assert set(sink.events) == expected
                assert len(sink.risks) == len(FLEET)

            eventually(all_have_arrived, server, watched.server)
    leaking = next(iter(LEAKING))
    assert sink.resources[leaking.name] == leaking.resource()


def test_one_family_of_all_languages_is_judged_alike(tmp_path: Path) -> None:
    with Sink() as sink, watch(tmp_path, sink) as watched:
        env = {"WATCH_ENDPOINT": watched.grpc, "LANGUAGES_KEEP_ORIGINALS": "false"}
        overlays = ("languages.yaml", "watch.yaml")
        collector = Collector.on_free_ports(tmp_path / "collector", *overlays, env=env)
        with collector.running() as server:
            post(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", range(MOMENTS))

            def all_leaks_are_confirmed() -> None:
                assert sink.confirmed() == {process.name for process in LEAKING}
                assert len(sink.risks) == len(FLEET)

            eventually(all_leaks_are_confirmed, server, watched.server)


def test_two_instances_behind_a_load_balancer_judge_as_one_and_share_no_process(
    tmp_path: Path, expected: set[Event]
) -> None:
    with (
        Sink() as first,
        Sink() as second,
        watch(tmp_path, first, name="first") as one,
        watch(tmp_path, second, name="second") as two,
    ):
        env = {"WATCH_FIRST": one.grpc, "WATCH_SECOND": two.grpc}
        collector = Collector.on_free_ports(tmp_path / "collector", "load-balancing.yaml", env=env)
        with collector.running() as server:
            post(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", range(MOMENTS))

            def all_have_arrived() -> None:
                assert {*first.events, *second.events} == expected
                assert len(first.risks) + len(second.risks) == len(FLEET)

            eventually(all_have_arrived, server, one.server, two.server)
    assert not first.risks.keys() & second.risks.keys()
    assert first.risks
    assert second.risks
    # What they say of themselves is told apart too, though nobody gave them names.
    own = [each.own_resource for each in (first, second)]
    assert {each["service.name"] for each in own} == {"opentelemetry-memory-watch"}
    assert len({each["service.instance.id"] for each in own}) == 2


def test_a_restart_goes_on_where_the_last_one_stopped(tmp_path: Path, expected: set[Event]) -> None:
    half = MOMENTS // 2
    state = f"--state-directory={tmp_path / 'state'}"
    with Sink() as sink:
        with watch(tmp_path, sink, state) as watched:
            post(watched.url, range(half))
            watched.server.process.send_signal(signal.SIGTERM)
            assert watched.server.process.wait(30) == 0
        with watch(tmp_path, sink, state) as watched:
            post(watched.url, range(half, MOMENTS))
            eventually(lambda: same(set(sink.events), expected), watched.server)
    assert len(sink.events) == len(expected)


def test_a_crash_loses_nothing_that_was_saved(tmp_path: Path, expected: set[Event]) -> None:
    half = MOMENTS // 2
    folder = tmp_path / "state"
    options = (f"--state-directory={folder}", "--save-interval-seconds=1")

    def all_is_saved() -> None:
        files = [file.read_text() for file in folder.glob("*.jsonl")]
        lines = [json.loads(line) for text in files for line in text.splitlines()]
        latest = [line["latest"] for line in lines if "latest" in line]
        newest = round((BEGAN + (half - 1) * INTERVAL_SECONDS) * 10**9)
        assert latest == [newest] * len(FLEET)

    with Sink() as sink:
        with watch(tmp_path, sink, *options) as watched:
            post(watched.url, range(half))
            eventually(all_is_saved, watched.server)
            watched.server.process.kill()
            watched.server.process.wait(30)
        with watch(tmp_path, sink, *options) as watched:
            post(watched.url, range(half, MOMENTS))
            eventually(lambda: same(set(sink.events), expected), watched.server)


def test_a_second_instance_is_refused_the_same_state(tmp_path: Path) -> None:
    state = f"--state-directory={tmp_path / 'state'}"
    with Sink() as sink, watch(tmp_path, sink, state):
        result = subprocess.run(
            [COMMAND, "watch", "--grpc=off", "--http=127.0.0.1:0", state],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert result.returncode == 2
    assert "another instance" in result.stderr


def test_a_service_may_send_to_the_watch_without_a_collector(tmp_path: Path) -> None:
    # Node.js sends its requests in chunks, of which no length is known before.
    (node,) = [each for each in LANGUAGES if each.name == "node"]
    try:
        starter = node.starter()
    except ToolUnavailableError as error:
        tools._missing(f"no service of Node.js: {error}")
    env = {
        "PORT": str(free_ports(1)[0]),
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
        "OTEL_METRIC_EXPORT_TIMEOUT": "300",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=on-its-own",
    }
    with Sink() as sink, watch(tmp_path, sink) as watched:
        env["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] = watched.url
        with running("node", [starter], tmp_path, env) as service:
            eventually(lambda: _is_judged(sink, "on-its-own"), watched.server, service)
        assert sink.own["memory.watch.points.rejected"] == 0


def _is_judged(sink: Sink, instance: str) -> None:
    assert instance in sink.risks
