from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from opentelemetry.instrumentation.memory._probes import platform_probes
from opentelemetry.instrumentation.memory._probes.portable import PsutilProbe
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from pathlib import Path


def test_sizes_are_those_of_the_calling_process() -> None:
    resident = PsutilProbe().read()
    memory = psutil.Process(os.getpid()).memory_info()
    assert resident.resident_bytes == pytest.approx(memory.rss, rel=0.05)
    assert resident.virtual_bytes == pytest.approx(memory.vms, rel=0.05)


def test_missing_psutil_is_an_absent_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(SourceUnavailable, match="psutil cannot be imported"):
        PsutilProbe().read()


def test_failure_of_psutil_is_an_error_of_this_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> None:
        raise psutil.AccessDenied(pid)

    monkeypatch.setattr(psutil, "Process", refuse)
    with pytest.raises(OSError, match="psutil"):
        PsutilProbe().read()


def test_psutil_is_used_only_where_there_is_no_proc(tmp_path: Path) -> None:
    assert platform_probes(proc=str(tmp_path)).resident.name == "psutil"
    assert platform_probes().resident.name == "statm"


def test_closed_probes_hold_no_descriptor() -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are what is compared
    probes = platform_probes()
    probes.resident.read()
    probes.limit.read()
    probes.close()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
