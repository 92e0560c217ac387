"""Files are whole, private and few, whatever happens while they are written."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.snapshots import NOW, SHOP, largest, snapshot

from opentelemetry.instrumentation.memory.responders import snapshot as writer_module
from opentelemetry.instrumentation.memory.responders.identity import Identity
from opentelemetry.instrumentation.memory.responders.snapshot import (
    MOST_BYTES,
    MOST_FILES,
    SnapshotWriter,
    file_name,
)
from opentelemetry.instrumentation.memory.responders.snapshot_document import Moment, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="expects POSIX permissions")


def at(seconds: float, pid: int = 4711, **instead: Any) -> dict[str, Any]:
    """Return a document that a process writes at a time."""
    identity = Identity(pid, *(getattr(SHOP, name) for name in SHOP.__slots__[1:]))
    moment = Moment(NOW.epoch_seconds + seconds, NOW.monotonic_seconds)
    return snapshot(identity=identity, now=moment, **instead)


def names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


# --- what is written -------------------------------------------------------------------------


def test_document_is_in_the_file_that_is_returned(tmp_path: Path) -> None:
    path = SnapshotWriter(str(tmp_path)).write(snapshot())
    assert path is not None
    assert json.loads(path.read_text("utf-8")) == snapshot()


def test_name_tells_time_process_and_reason(tmp_path: Path) -> None:
    path = SnapshotWriter(str(tmp_path)).write(snapshot("near_limit"))
    assert path == tmp_path / "memory-snapshot-20251124T185505.250Z-4711-near_limit.json"


def test_directory_and_file_are_for_the_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "state" / "snapshots"
    old_mask = os.umask(0)
    try:
        path = SnapshotWriter(str(directory)).write(snapshot())
    finally:
        os.umask(old_mask)
    assert path is not None
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_directory_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    SnapshotWriter(str(tmp_path)).write(snapshot())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_directory_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    directory = tmp_path / "snapshots"
    writer = SnapshotWriter(str(directory))
    first = writer.write(at(0))
    assert first is not None
    first.unlink()
    directory.rmdir()
    assert writer.write(at(1)) is not None


def test_nothing_but_the_snapshot_is_left(tmp_path: Path) -> None:
    SnapshotWriter(str(tmp_path)).write(snapshot())
    assert names(tmp_path) == [file_name(snapshot())]


# --- the quota -------------------------------------------------------------------------------


def test_oldest_files_give_way_to_new_ones(tmp_path: Path) -> None:
    writer = SnapshotWriter(str(tmp_path))
    documents = [at(seconds) for seconds in range(MOST_FILES + 5)]
    for each in documents:
        writer.write(each)
    assert names(tmp_path) == [file_name(each) for each in documents[5:]]


def test_files_of_all_processes_count(tmp_path: Path) -> None:
    writers = [SnapshotWriter(str(tmp_path)) for _ in range(4)]
    for seconds in range(MOST_FILES + 8):
        writers[seconds % 4].write(at(seconds, pid=100 + seconds % 4))
    kept = [file_name(at(seconds, pid=100 + seconds % 4)) for seconds in range(8, MOST_FILES + 8)]
    assert names(tmp_path) == kept


def test_bytes_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(to_json(at(0)).encode())
    monkeypatch.setattr(writer_module, "MOST_BYTES", 3 * size)
    writer = SnapshotWriter(str(tmp_path))
    for seconds in range(10):
        writer.write(at(seconds))
    assert names(tmp_path) == [file_name(at(seconds)) for seconds in (7, 8, 9)]


def test_quota_has_room_for_as_many_of_the_largest_as_it_says() -> None:
    most = len(to_json(snapshot(evidence=largest('"' * 1000))).encode())
    assert most * MOST_FILES < MOST_BYTES


def test_new_file_stays_though_its_clock_is_behind(tmp_path: Path) -> None:
    writer = SnapshotWriter(str(tmp_path))
    for seconds in range(MOST_FILES):
        writer.write(at(seconds))
    late = writer.write(at(-86_400))
    assert late is not None
    assert late.exists()
    assert len(names(tmp_path)) == MOST_FILES


def test_foreign_files_are_neither_counted_nor_removed(tmp_path: Path) -> None:
    foreign = [
        "memory-snapshot-20200101T000000.000Z-1-other.json",
        "memory-snapshot-20200101T000000.000Z-1-api.json.bak",
        "x-memory-snapshot-20200101T000000.000Z-1-api.json",
        *(f"notes-{number}.json" for number in range(MOST_FILES)),
    ]
    for each in foreign:
        (tmp_path / each).touch()
    writer = SnapshotWriter(str(tmp_path))
    for seconds in range(MOST_FILES + 1):
        writer.write(at(seconds))
    assert set(foreign) < set(names(tmp_path))
    assert len(names(tmp_path)) == len(foreign) + MOST_FILES


def test_link_and_directory_under_a_name_of_ours_are_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    link = tmp_path / file_name(at(-2))
    link.symlink_to(target)
    folder = tmp_path / file_name(at(-1))
    folder.mkdir()
    writer = SnapshotWriter(str(tmp_path))
    for seconds in range(MOST_FILES + 1):
        writer.write(at(seconds))
    assert link.is_symlink()
    assert folder.is_dir()
    assert target.read_text() == "kept"


def test_processes_that_write_at_once_stay_within_the_quota(tmp_path: Path) -> None:
    def write(worker: int) -> list[Path | None]:
        writer = SnapshotWriter(str(tmp_path))
        return [writer.write(at(seconds, pid=worker + 1)) for seconds in range(20)]

    with ThreadPoolExecutor(8) as pool:
        written = [path for paths in pool.map(write, range(8)) for path in paths]
    assert None not in written
    assert len(names(tmp_path)) <= MOST_FILES
    assert all(json.loads((tmp_path / each).read_text("utf-8")) for each in names(tmp_path))


# --- what goes wrong -------------------------------------------------------------------------


def test_symbolic_link_at_the_name_is_refused(
    tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    (tmp_path / file_name(snapshot())).symlink_to(target)
    assert SnapshotWriter(str(tmp_path)).write(snapshot()) is None
    assert target.read_text() == "kept"
    assert "is no file of this user" in warnings.text


def test_directory_at_the_name_is_refused(
    tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    (tmp_path / file_name(snapshot())).mkdir()
    assert SnapshotWriter(str(tmp_path)).write(snapshot()) is None
    assert len(warnings.records) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_file_of_another_user_at_the_name_is_refused(
    tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    taken = tmp_path / file_name(snapshot())
    taken.write_text("theirs")
    os.chown(taken, 12_345, -1)
    assert SnapshotWriter(str(tmp_path)).write(snapshot()) is None
    assert taken.read_text() == "theirs"
    assert len(warnings.records) == 1


def test_full_disk_leaves_no_part_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: pytest.LogCaptureFixture
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Path, "replace", failing(full))
    assert SnapshotWriter(str(tmp_path)).write(snapshot()) is None
    assert names(tmp_path) == []
    assert "No space left on device" in warnings.text


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_file_that_cannot_be_written_to_its_end_is_removed(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys\n"
        "from tests.snapshots import snapshot\n"
        "from opentelemetry.instrumentation.memory.responders.snapshot import SnapshotWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "assert SnapshotWriter(sys.argv[1]).write(snapshot()) is None\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        check=True,
        timeout=60,
    )
    assert names(tmp_path) == []


def test_one_cause_is_one_warning(tmp_path: Path, warnings: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    writer = SnapshotWriter(str(tmp_path / "file" / "snapshots"))
    assert [writer.write(at(seconds)) for seconds in range(3)] == [None] * 3
    assert len(warnings.records) == 1
    assert str(tmp_path) in warnings.text


def test_writer_tries_again_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: pytest.LogCaptureFixture
) -> None:
    writer = SnapshotWriter(str(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "mkstemp", failing(OSError(errno.EMFILE, "Too many open files")))
        assert writer.write(snapshot()) is None
    assert writer.write(snapshot()) is not None
    assert len(warnings.records) == 1


def test_old_file_that_cannot_be_removed_does_not_cost_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: pytest.LogCaptureFixture
) -> None:
    writer = SnapshotWriter(str(tmp_path))
    for seconds in range(MOST_FILES):
        writer.write(at(seconds))
    monkeypatch.setattr(Path, "unlink", failing(PermissionError(errno.EPERM, "not permitted")))
    assert writer.write(at(1000)) is not None
    assert len(warnings.records) == 1
    assert "cannot be removed" in warnings.text


@pytest.mark.parametrize(
    "document",
    [{}, {"written_at": "x", "process": {"pid": 1}, "reason": "../../api"}, {"schema": object()}],
    ids=["empty", "path in the reason", "no JSON"],
)
def test_nothing_is_raised_for_what_is_no_document(
    tmp_path: Path, document: dict[str, Any], warnings: pytest.LogCaptureFixture
) -> None:
    assert SnapshotWriter(str(tmp_path)).write(document) is None
    assert names(tmp_path) == []
    assert len(warnings.records) == 1


def test_nothing_is_raised_without_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(writer_module, "to_json", failing(MemoryError()))
    assert SnapshotWriter(str(tmp_path)).write(snapshot()) is None
    assert "MemoryError" in caplog.text


def test_what_a_killed_process_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    old, new = tmp_path / ".memory-snapshot-old.tmp", tmp_path / ".memory-snapshot-new.tmp"
    for each in (old, new):
        each.touch()
    os.utime(old, (1, 1))
    SnapshotWriter(str(tmp_path)).write(snapshot())
    assert not old.exists()
    assert new.exists()


def test_a_reader_never_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    replace = Path.replace

    def look_and_replace(self: Path, target: Path) -> Path:
        seen.append([each for each in names(tmp_path) if not each.startswith(".")])
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", look_and_replace)
    SnapshotWriter(str(tmp_path)).write(snapshot())
    assert seen == [[]]


def test_name_has_no_part_that_the_document_could_choose() -> None:
    assert re.fullmatch(r"[\w.-]+", file_name(snapshot()))
