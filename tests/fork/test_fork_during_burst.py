"""A process that forks while its allocations are watched: the child is not, the parent still is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).parent / "programs" / "burst.py"
WATCHERS = ["tracemalloc", "memray"]


SOURCE = "#include <stdlib.h>\nvoid *kept;\nvoid grab(void) { kept = malloc(200); }\n"


def run(
    folder: Path, watcher: str, scene: str, segment: str = "native_heap", *library: Path | str
) -> dict[str, Any]:
    # From 3.12 on Python warns when a process with threads forks.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", PROGRAM]
    ended = subprocess.run(
        [*command, watcher, segment, scene, folder, *library],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return json.loads(ended.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("watcher", WATCHERS)
def test_child_is_not_watched_and_the_parent_still_finds_its_line(
    tmp_path: Path, watcher: str
) -> None:
    told = run(tmp_path, watcher, "fork")
    assert not told["child"]["is_watched"]
    assert told["parent"]["is_watched"]
    assert told["sites"][0]["site"].endswith(told["leak"])


def test_child_lets_go_of_the_record_that_its_parent_still_reads(tmp_path: Path) -> None:
    told = run(tmp_path, "memray", "fork")
    assert told["child"]["open"] == 0
    assert told["sites"]


def test_process_killed_during_a_burst_leaves_nothing_of_its_command_line(tmp_path: Path) -> None:
    word = "sesame"
    records = tmp_path / f"records-of-{word}"
    command = [sys.executable, PROGRAM, "memray", "python_heap", "wait", records]
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "burst\n"
        # The record has it, or the search would prove nothing, and nobody finds the record by name.
        assert [text for text in opened_without_a_name(process.pid) if word.encode() in text]
        assert list(tmp_path.rglob("*")) == [records]
        assert records.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.rglob("*")) == [records]


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    with process:
        try:
            yield process
        finally:
            process.kill()


def opened_without_a_name(pid: int) -> list[bytes]:
    links = list(Path(f"/proc/{pid}/fd").iterdir())
    return [each.read_bytes() for each in links if str(each.readlink()).endswith(" (deleted)")]


@pytest.mark.parametrize("watcher", WATCHERS)
def test_closed_burst_leaves_nothing_behind(tmp_path: Path, watcher: str) -> None:
    told = run(tmp_path, watcher, "close")
    assert not told["is_watched"]
    assert told["files"] == 0


@pytest.mark.parametrize("segment", ["python_heap", "native_heap"])
@pytest.mark.parametrize("watcher", WATCHERS)
def test_line_of_a_leaking_thread_is_named_with_its_rate(
    tmp_path: Path, watcher: str, segment: str
) -> None:
    told = run(tmp_path, watcher, "watch", segment)
    site = told["sites"][0]
    assert site["site"].endswith(told["leak"])
    blocks_per_second = site["blocks_grown"] / told["seconds"]
    assert blocks_per_second == pytest.approx(told["blocks_per_second"], rel=0.2)
    assert 1000 < site["bytes_per_second"] / blocks_per_second < 1100


def test_memray_tells_the_callers_whatever_the_frames(tmp_path: Path) -> None:
    assert run(tmp_path, "memray", "watch")["sites"][0]["callers"]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source, built = tmp_path / "leaky.c", tmp_path / "leaky.so"
    source.write_text(SOURCE)
    subprocess.run([compiler, "-g", "-O0", "-shared", "-fPIC", source, "-o", built], check=True)
    return built


def test_memray_names_the_function_in_c(tmp_path: Path, library: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    told = run(folder, "memray", "watch", "native_heap", library)
    (site,) = [each for each in told["sites"] if each["is_native"]]
    assert site["site"] == "grab (leaky.c:3)"
    assert site["bytes_per_second"] == pytest.approx(200 * site["blocks_grown"] / told["seconds"])
    assert "burst.py:" in site["callers"][0]


def test_memray_that_did_not_see_the_growth_is_not_advised_once_more(tmp_path: Path) -> None:
    told = run(tmp_path, "memray", "watch", "native_heap", "malloc")
    (advice,) = told["advice"]
    assert "memray did not see the rest" in advice["text"]


def test_greenlets_are_traced_as_before_and_tracemalloc_finds_the_line(tmp_path: Path) -> None:
    told = run(tmp_path, "memray", "greenlets", "native_heap")
    assert told["is_traced_as_before"]
    assert told["sites"][0]["site"].endswith(told["leak"])


@pytest.mark.parametrize("watcher", WATCHERS)
def test_no_value_is_in_what_is_told(tmp_path: Path, watcher: str) -> None:
    told = json.dumps(run(tmp_path, watcher, "watch"))
    assert "correct-horse" not in told
    assert str(Path.home()) not in told
    assert str(tmp_path) not in told
