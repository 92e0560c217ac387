from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from opentelemetry.instrumentation.memory.responders.identity import (
    this_process,
    uptime_seconds,
)

if TYPE_CHECKING:
    from pathlib import Path

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def proc(folder: Path, stat: str, uptime: str = "5000.25 100.0") -> str:
    (folder / "self").mkdir()
    (folder / "self" / "stat").write_text(stat)
    (folder / "uptime").write_text(uptime)
    return str(folder)


def stat_of(name: str, start_ticks: int) -> str:
    return f"1 ({name}) S " + "0 " * 18 + f"{start_ticks} 0 0"


@linux
def test_uptime_is_that_of_the_process() -> None:
    told = this_process().uptime_seconds
    began = psutil.Process().create_time()
    assert told is not None
    assert time.time() - began == pytest.approx(told, abs=2)


@linux
@pytest.mark.parametrize("name", ["python", "a b", "x) S 1 ("])
def test_uptime_is_found_behind_any_name_of_the_command(tmp_path: Path, name: str) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    assert uptime_seconds(proc(tmp_path, stat_of(name, 4000 * ticks))) == 1000.25


@linux
def test_uptime_of_a_container_that_hides_the_host_is_unknown(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    assert uptime_seconds(proc(tmp_path, stat_of("python", 9000 * ticks))) is None


@pytest.mark.parametrize("text", ["", "1 (python) S 0", "nonsense"])
def test_uptime_that_cannot_be_read_is_unknown(tmp_path: Path, text: str) -> None:
    assert uptime_seconds(proc(tmp_path, text)) is None


def test_uptime_without_proc_is_unknown(tmp_path: Path) -> None:
    assert uptime_seconds(str(tmp_path)) is None


def test_runtime_is_named_with_its_whole_version() -> None:
    identity = this_process("shop")
    assert identity.runtime_name == sys.implementation.name
    assert identity.runtime_version == ".".join(map(str, sys.version_info[:3]))
    assert (identity.service_name, identity.pid) == ("shop", os.getpid())
