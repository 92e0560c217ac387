"""A leak on its whole way: gunicorn workers -> collector -> Prometheus -> PromQL."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.pipeline import Collector, Pipeline, pipeline, resident_bytes, visitors
from tests.tools import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOP = Path(__file__).parent / "programs" / "leaky_shop"
MEBIBYTE = 2**20
LIMIT_BYTES = 1024 * MEBIBYTE
TOLERANCE = 0.2
DEADLINE_SECONDS = 120
OURS = '{service_name="sample"}'
# Evidence counts in samples: these are many in a short time.
OFTEN = {
    "OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS": "0.05",
    "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": "0.05",
    "OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "100",
    "OTEL_PYTHON_MEMORY_LIMIT_BYTES": str(LIMIT_BYTES),
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is what answers are held to")


class Truth:
    """What the leaking worker says of itself, answer by answer."""

    def __init__(self) -> None:
        self.answers: list[Mapping[str, Any]] = []

    def see(self, answer: Mapping[str, Any]) -> None:
        if answer["is_leaking"]:
            self.answers.append(answer)

    @property
    def bytes_per_second(self) -> float:
        first, last = self.answers[0], self.answers[-1]
        kept_bytes = last["kept_bytes"] - first["kept_bytes"]
        return float(kept_bytes / (last["at_seconds"] - first["at_seconds"]))


def test_a_leaking_worker_is_confirmed_and_its_healthy_sibling_stays_quiet(tmp_path: Path) -> None:
    collector = Collector.on_free_ports(tmp_path)
    with collector.running() as server, pipeline(tmp_path, collector, SHOP, **OFTEN) as pipe:
        workers = pipe.workers()
        truth = Truth()
        with visitors(pipe.service_url, truth.see):
            servers = (server, pipe.service, pipe.prometheus)
            eventually(lambda: assert_is_confirmed(pipe, truth), *servers, seconds=DEADLINE_SECONDS)
            leaking = truth.answers[0]["instance"]
            (healthy,) = set(workers) - {leaking}
            # Both have worked all the while, and there never was an alarm about the healthy one.
            highest = pipe.values(f"max_over_time(process_memory_leak_risk_ratio{OURS}[10m])")
            assert highest[leaking] >= 0.9, highest
            assert highest[healthy] < 0.5, highest
            accused = pipe.query(
                f"count_over_time(process_memory_leak_growth_bytes_per_second{OURS}[10m])"
            )
            assert {each["metric"]["service_instance_id"] for each in accused} == {leaking}


def assert_is_confirmed(pipe: Pipeline, truth: Truth) -> None:
    assert truth.answers, "the leaking worker has not answered yet"
    leaking = truth.answers[0]
    of_it = f'{{service_instance_id="{leaking["instance"]}"}}'
    assert pipe.values(f"process_memory_leak_risk_ratio{of_it} >= 0.9"), "not confirmed"
    (growth,) = pipe.query(f"process_memory_leak_growth_bytes_per_second{of_it}")
    assert growth["metric"]["process_memory_segment"] == "python_heap"
    pace = float(growth["value"][1])
    assert math.isclose(pace, truth.bytes_per_second, rel_tol=TOLERANCE), truth.bytes_per_second
    left = pipe.values(f"process_memory_leak_time_to_exhaustion_seconds{of_it}")
    expected = (LIMIT_BYTES - resident_bytes(leaking["pid"])) / truth.bytes_per_second
    assert math.isclose(left[leaking["instance"]], expected, rel_tol=TOLERANCE), (left, expected)
    print(f"growth {pace:.0f} B/s, in truth {truth.bytes_per_second:.0f}")  # noqa: T201 - with -s
