"""Real processes that hold a known number of bytes: every segment tells it, within 3 % of them."""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opentelemetry.instrumentation.memory import SEGMENTS

HOLD = Path(__file__).parent / "truth/hold.py"
TOLERANCE = 0.03

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc",
    reason="the block sizes that are counted here are those of glibc, on Linux",
)


def preloadable_jemalloc() -> Path | None:
    """Return a jemalloc of this machine (Debian: libjemalloc2), or None."""
    project = Path(__file__).parents[2]
    folders = (*project.glob(".cache/*jemalloc*"), Path("/usr/lib"), Path("/usr/local/lib"))
    found = (file for folder in folders for file in folder.glob("**/libjemalloc.so.2"))
    return next(found, None)


JEMALLOC = preloadable_jemalloc()

# Each workload with the allocator that serves it.
CASES = [
    ("small_objects", ""),
    ("small_objects_by_malloc", "PYTHONMALLOC=malloc"),
    ("bytes_of_1_kib", ""),
    ("bytes_of_1_mib", ""),
    ("dicts", ""),
    ("numpy_array", ""),
    ("numpy_untouched", ""),
    ("malloc_blocks", ""),
    ("malloc_untouched", ""),
    ("malloc_half_touched", ""),
    ("direct_mmap", ""),
    ("mapped_file", ""),
    ("shared_memory", ""),
    ("fragmented_malloc", ""),
    ("fragmented_objects", ""),
    ("threads", ""),
]
if JEMALLOC is not None:
    # What jemalloc keeps beside live blocks (slabs, padding, bookkeeping) is in `retained`. That is
    # as it must be and more than 3 % for many small blocks, so those are not counted here.
    CASES += [
        (workload, f"LD_PRELOAD={JEMALLOC}")
        for workload in ("small_objects", "bytes_of_1_mib", "numpy_array", "malloc_untouched")
    ]

each_case = pytest.mark.parametrize(("workload", "setting"), CASES)


@functools.cache
def measured(workload: str, setting: str) -> dict[str, Any]:
    name, _, value = setting.partition("=")
    child = subprocess.run(
        [sys.executable, HOLD, workload],
        env={**os.environ, **({name: value} if name else {})},
        capture_output=True,
        check=True,
        text=True,
    )
    return json.loads(child.stdout)


@each_case
def test_each_segment_grows_by_the_bytes_held(workload: str, setting: str) -> None:
    result = measured(workload, setting)
    before, after = result["before"]["segments"], result["after"]["segments"]
    growth = {segment: after[segment] - before[segment] for segment in after}
    truth = {segment: result["truth"].get(segment, 0) for segment in growth}
    assert set(result["truth"]) <= set(growth)
    assert growth == pytest.approx(truth, abs=TOLERANCE * result["held"])


@each_case
def test_segments_of_a_real_process_add_up_to_its_resident_set(workload: str, setting: str) -> None:
    result = measured(workload, setting)
    for sample in (result["before"], result["after"]):
        assert sum(sample["segments"].values()) == sample["resident"]
        assert min(sample["segments"].values()) >= 0


@each_case
def test_segments_agree_with_the_kernels_account_of_each_mapping(
    workload: str, setting: str
) -> None:
    result = measured(workload, setting)
    rollup, segments = result["smaps_rollup"], result["after"]["segments"]
    if not rollup:
        pytest.skip("this kernel has no /proc/self/smaps_rollup (Linux 4.14 or newer has it)")
    mapped = segments["file"] + segments["shared"]
    tolerance = TOLERANCE * result["held"]
    assert result["after"]["resident"] == pytest.approx(rollup["Rss"], abs=tolerance)
    assert mapped == pytest.approx(rollup["Rss"] - rollup["Anonymous"], abs=tolerance)


def test_only_the_segment_of_a_source_that_is_off_is_absent() -> None:
    result = measured("small_objects_by_malloc", "PYTHONMALLOC=malloc")
    assert set(result["after"]["segments"]) == set(SEGMENTS) - {"python_heap"}
