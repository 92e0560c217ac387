"""Real leaking services, from the first sample to the snapshot that names the culprit.

Three of the exam that `make bench-evidence` runs, side by side: growth of small objects in a dict
of a module, of large ones, and of memory that no allocator knows of.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

EXAM = Path(__file__).parents[2] / "benchmarks" / "evidence"
# Last, so that other benchmarks' modules of the same name stay what they are.
sys.path.append(str(EXAM))
from sitting import sit  # noqa: E402 - found beside the benchmark's other scripts
from truths import TRUTHS  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sitting import Sitting

PROGRAMS = ("sessions_dict", "bytes_cache", "ctypes_mmap")
# With the default budget of one percent the same takes two minutes.
IN_A_HURRY = {"OTEL_PYTHON_MEMORY_EVIDENCE_BUDGET_PERCENT": "20"}

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="segments need /proc"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def sittings() -> Mapping[str, Sitting]:
    truths = [truth for truth in TRUTHS if truth.program in PROGRAMS]
    with ThreadPoolExecutor(len(truths)) as pool:
        sittings = pool.map(lambda truth: sit(truth, **IN_A_HURRY), truths)
        return {sitting.truth.program: sitting for sitting in sittings}


def evidence_of(sitting: Sitting) -> dict[str, Any]:
    assert sitting.evidence is not None, sitting.problem
    return sitting.evidence


@pytest.mark.parametrize("program", PROGRAMS)
def test_top_answer_names_the_culprit(sittings: Mapping[str, Sitting], program: str) -> None:
    sitting = sittings[program]
    told = json.dumps(evidence_of(sitting)["conclusion"])
    assert sitting.judgement.outcome == "right", told


@pytest.mark.parametrize("program", PROGRAMS)
def test_alarm_comes_before_its_evidence(sittings: Mapping[str, Sitting], program: str) -> None:
    sitting = sittings[program]
    assert sitting.suspected_seconds is not None
    assert sitting.evidence_seconds is not None
    assert 0 < sitting.suspected_seconds < sitting.evidence_seconds


@pytest.mark.parametrize("program", PROGRAMS)
def test_segment_of_the_leak_leads_the_investigation(
    sittings: Mapping[str, Sitting], program: str
) -> None:
    segments = {
        "sessions_dict": "python_heap",
        "bytes_cache": "native_heap",
        "ctypes_mmap": "other_anonymous",
    }
    assert evidence_of(sittings[program])["segment"] == segments[program]


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_kind_that_was_tried_tells_its_cost(
    sittings: Mapping[str, Sitting], program: str
) -> None:
    costs = {cost["kind"]: cost for cost in evidence_of(sittings[program])["costs"]}
    assert {"mappings", "containers", "sites"} <= costs.keys()
    assert all(cost["cpu_seconds"] > 0 for cost in costs.values())
