"""Every expression of the dashboards, asked of a Prometheus that real services have filled."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.dashboard_fleet import LIMIT_BYTES, SHOPS, Fleet, fleet, sampling, twins
from tests.grafana import Board, Span, samples
from tests.tools import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"
OF_THE_SHOP = {"service_name": "shop"}
DEADLINE_SECONDS = 200

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="segments need /proc")


class Opened:
    """Opens dashboards on a fleet, each time up to that moment."""

    def __init__(self, running: Fleet) -> None:
        self.fleet = running
        self._begin = time.time()

    def board(self, name: str, **chosen: str) -> Board:
        span = Span(self._begin, time.time())
        return Board(DASHBOARDS / f"{name}.json", self.fleet.url, span, **chosen)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with fleet(tmp_path_factory.mktemp("fleet")) as running:
        found = Opened(running)
        running.start(SHOPS, sampling(seconds=0.1))
        yield found


def assert_every_expression_has_data(board: Board) -> None:
    assert all(board.values.values()), f"a variable has nothing to choose from: {board.values}"
    empty = [
        f"{panel.title} / {target['refId']}: {board.filled_in(target['expr'], panel.scope)}"
        for panel in board.panels()
        for target in panel.targets()
        if not any(map(math.isfinite, samples(board.ask(target, panel.scope))))
    ]
    assert not empty, "no data:\n" + "\n".join(empty)


@pytest.mark.parametrize(("name", "chosen"), [("fleet_overview", {}), ("one_service", OF_THE_SHOP)])
def test_every_expression_has_data_once_a_leak_is_confirmed(
    opened: Opened, name: str, chosen: dict[str, str]
) -> None:
    def check() -> None:
        assert_every_expression_has_data(opened.board(name, **chosen))

    eventually(check, *opened.fleet.servers, seconds=DEADLINE_SECONDS)


def test_annotations_mark_when_a_process_was_suspected_and_when_confirmed(opened: Opened) -> None:
    def check() -> None:
        marked = opened.board("one_service", **OF_THE_SHOP).annotations()
        assert samples(marked["suspected"])
        assert all(0.5 <= risk < 0.9 for risk in samples(marked["suspected"]))
        assert samples(marked["confirmed"])
        assert all(risk >= 0.9 for risk in samples(marked["confirmed"]))

    eventually(check, *opened.fleet.servers, seconds=DEADLINE_SECONDS)


def test_fleet_overview_names_the_processes_and_the_version_that_leak(opened: Opened) -> None:
    leaking = {f"shop-{number}" for number, each in enumerate(SHOPS) if each.leaks}

    def check() -> None:
        board = opened.board("fleet_overview")
        found = {panel.title: panel for panel in board.panels()}
        first, *_ = found["Who dies first"].targets()
        rows = board.ask(first, found["Who dies first"].scope)
        assert {row["metric"]["service_instance_id"] for row in rows} == leaking
        growth = found["Growth by version"]
        (target,) = growth.targets()
        last = {
            each["metric"]["service_version"]
            for each in board.ask(target, growth.scope)
            if board.span.end - each["values"][-1][0] <= 2 * board.span.step_seconds
        }
        assert last == {"1.4.2"}
        (confirmed,) = found["Confirmed"].targets()
        assert samples(board.ask(confirmed, board.scope)) == [len(leaking)]

    eventually(check, *opened.fleet.servers, seconds=DEADLINE_SECONDS)


def test_each_process_has_its_own_panel_in_which_segments_add_up_to_its_memory(
    opened: Opened,
) -> None:
    # A scrape may fall between two metrics of one export; mostly it does not.
    def check() -> None:
        board = opened.board("one_service", **OF_THE_SHOP)
        memory = [each for each in board.panels() if each.title.startswith("Memory of ")]
        assert [each.title for each in memory] == [
            f"Memory of shop-{number}" for number in range(len(SHOPS))
        ]
        for panel in memory:
            segments, limit = panel.targets()
            at_the_end = {**segments, "instant": True}
            total = sum(samples(board.ask(at_the_end, panel.scope)))
            usage = board.filled_in(
                'process_memory_usage_bytes{service_instance_id=~"$instance"}', panel.scope
            )
            assert samples(board.ask({"expr": usage, "instant": True}, panel.scope)) == [total]
            assert set(samples(board.ask(limit, panel.scope))) == {LIMIT_BYTES}

    eventually(check, *opened.fleet.servers)


def test_language_mix_has_data_in_every_expression_and_every_language(opened: Opened) -> None:
    # Two that differ in what they tell; Go has a heap limit.
    opened.fleet.start(twins("node", "go"), {})
    expected = {
        "Resident by language": {"cpython", "nodejs"},
        "Heap used by language": {"cpython", "nodejs", "go"},
        "Heap committed by language": {"cpython", "nodejs", "go"},
        "Heap limit by language": {"go"},
        "External by language": {"cpython", "nodejs"},
    }

    def check() -> None:
        board = opened.board("language_mix")
        assert_every_expression_has_data(board)
        found = {}
        for panel in board.panels():
            if panel.title in expected:
                (target,) = panel.targets()
                series = board.ask(target, panel.scope)
                found[panel.title] = {each["metric"]["process_runtime_name"] for each in series}
        assert found == expected

    eventually(check, *opened.fleet.servers)
