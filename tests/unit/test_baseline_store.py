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
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory import _baseline_store as store_module
from opentelemetry.instrumentation.memory._baseline_store import (
    MAXIMUM_BYTES,
    BaselineStore,
    runtime_version,
)
from opentelemetry.instrumentation.memory._detection.baseline import (
    HOURS,
    Baseline,
    SegmentBaseline,
)

SOME = Baseline({"native_heap": SegmentBaseline(100, 60.0, 90, 120)})
OTHER = Baseline({"native_heap": SegmentBaseline(50, 10.0, 40, 130)})
LARGEST = SegmentBaseline(2**60, 1e10 - 0.1, 2**60, 2**60, (2**60,) * HOURS, (1000,) * HOURS)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="expects POSIX permissions")


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING)
    return caplog


def store(directory: Path, name: str = "shop", version: str = "1.0", **other: str) -> BaselineStore:
    return BaselineStore(str(directory), name, version, **other)


def names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# --- there and back ----------------------------------------------------------------------------


def test_what_was_saved_is_loaded_by_the_next_process(
    tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    first = store(tmp_path)
    assert first.load() is None
    first.save(SOME)
    assert store(tmp_path).load() == SOME
    assert names(tmp_path) == [first.path.name]
    assert not warnings.records


@settings(
    derandomize=True,
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(), st.text(), st.integers(0, 2**60), st.floats(0, 1e10))
def test_any_service_and_any_figures_survive(
    tmp_path: Path, name: str, version: str, level: int, seconds: float
) -> None:
    baseline = Baseline({"python_heap": SegmentBaseline(level, seconds, 0, 2**60)})
    written = store(tmp_path, name, version)
    written.path.unlink(missing_ok=True)
    written.save(baseline)
    assert store(tmp_path, name, version).load() == baseline
    assert written.path.parent == tmp_path
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,60}\.json", written.path.name)


def test_largest_baseline_is_within_the_limit(tmp_path: Path) -> None:
    largest = Baseline({"python_heap": LARGEST, "native_heap": LARGEST, "other_anonymous": LARGEST})
    written = store(tmp_path, "\U0001f35e" * 10_000, "9" * 10_000)
    written.save(largest)
    assert written.path.stat().st_size < MAXIMUM_BYTES / 2
    assert store(tmp_path, "\U0001f35e" * 10_000, "9" * 10_000).load() == largest


def test_directory_and_file_are_for_the_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "state" / "memory"
    old_mask = os.umask(0)
    try:
        written = store(directory)
        written.save(SOME)
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(written.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "other",
    [
        {"name": "shop2"},
        {"version": "1.1"},
        {"version": ""},
        {"runtime": "cpython 3.99"},
        {"role": "worker"},
    ],
    ids=str,
)
def test_another_service_version_or_runtime_starts_anew(
    tmp_path: Path, other: dict[str, str]
) -> None:
    store(tmp_path).save(SOME)
    assert store(tmp_path, **other).load() is None
    store(tmp_path, **other).save(OTHER)
    assert store(tmp_path).load() == SOME


def test_file_is_named_for_people_and_leads_nowhere_else(tmp_path: Path) -> None:
    assert store(tmp_path, "Shop / Check-out").path.name.startswith("shop-check-out-")
    assert store(tmp_path, "../../etc/passwd").path.parent == tmp_path
    assert store(tmp_path, "\0").path.name.startswith("service-")
    assert len(store(tmp_path, "x" * 5000).path.name) < 80


def test_runtime_is_implementation_and_minor_version() -> None:
    assert re.fullmatch(r"[a-z]+ 3\.\d+", runtime_version())


# --- several processes -------------------------------------------------------------------------


def test_workers_share_the_wider_range(tmp_path: Path) -> None:
    first, second = store(tmp_path), store(tmp_path)
    assert first.load() is second.load() is None
    first.save(SOME)
    second.save(OTHER)
    assert store(tmp_path).load() == SOME.merged(OTHER)


def test_nothing_new_is_not_written(tmp_path: Path) -> None:
    written = store(tmp_path)
    written.save(SOME)
    before = written.path.stat().st_ino
    written.save(SOME)
    assert written.path.stat().st_ino == before


def test_what_one_forgets_is_forgotten_for_all_that_began_before(tmp_path: Path) -> None:
    store(tmp_path).save(SOME)
    first, second = store(tmp_path), store(tmp_path)
    assert first.load() == second.load() == SOME
    assert first.forget()
    second.save(SOME)
    assert store(tmp_path).load() is None
    assert names(tmp_path) == [first.path.name]


def test_new_run_after_forgetting_learns_anew(tmp_path: Path) -> None:
    old = store(tmp_path)
    old.save(SOME)
    assert old.forget()
    new = store(tmp_path)
    assert new.load() is None
    new.save(OTHER)
    old.save(OTHER)
    assert store(tmp_path).load() == OTHER


def test_each_forgetting_counts(tmp_path: Path) -> None:
    first, second, late = store(tmp_path), store(tmp_path), store(tmp_path)
    for each in (first, second):
        assert each.load() is None
    assert first.forget()
    assert late.load() is None
    late.save(SOME)
    assert second.forget()
    late.save(OTHER)
    first.save(OTHER)
    assert store(tmp_path).load() is None


def test_write_that_was_under_way_is_forgotten_as_well(tmp_path: Path) -> None:
    store(tmp_path).save(SOME)
    under_way = store(tmp_path).path.read_bytes()
    forgetting = store(tmp_path)
    assert forgetting.forget()
    forgetting.path.write_bytes(under_way)
    forgetting.keep_forgotten()
    assert store(tmp_path).load() is None
    before = forgetting.path.stat().st_ino
    forgetting.keep_forgotten()
    assert forgetting.path.stat().st_ino == before
    forgetting.path.write_bytes(under_way)
    forgetting.save(OTHER)
    assert store(tmp_path).load() == OTHER


def test_damaged_file_is_forgotten(tmp_path: Path) -> None:
    running = store(tmp_path)
    assert running.load() is None
    running.path.write_text("{")
    assert store(tmp_path).forget()
    running.save(SOME)
    assert store(tmp_path).load() is None


def test_full_disk_forgets_by_removing_the_file(
    tmp_path: Path, warnings: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = store(tmp_path)
    full.save(SOME)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    assert full.forget()
    assert names(tmp_path) == []
    assert len(warnings.records) == 1


def test_readers_never_see_half_a_file(tmp_path: Path, warnings: pytest.LogCaptureFixture) -> None:
    is_done = threading.Event()

    def save(start: int) -> None:
        each = store(tmp_path)
        for step in range(40):
            high = 1000 + 2 * step + start
            each.save(Baseline({"native_heap": SegmentBaseline(100, 60.0, 90, high)}))

    def load() -> int:
        each, loaded = store(tmp_path), 0
        while not is_done.is_set():
            loaded += each.load() is not None
        return loaded

    with ThreadPoolExecutor() as pool:
        reader = pool.submit(load)
        writers = [pool.submit(save, start) for start in (0, 1)]
        for each in writers:
            each.result()
        is_done.set()
        assert reader.result() > 0
    assert names(tmp_path) == [store(tmp_path).path.name]
    assert not warnings.records


def test_write_that_was_killed_leaves_the_old_file_and_is_cleared_away(tmp_path: Path) -> None:
    written = store(tmp_path)
    written.save(SOME)
    abandoned = tmp_path / f".{written.path.stem}.abc.tmp"
    recent = tmp_path / f".{written.path.stem}.def.tmp"
    foreign = tmp_path / ".other.tmp"
    for each in (abandoned, recent, foreign):
        each.write_text("{")
    os.utime(abandoned, (0, 0))
    os.utime(foreign, (0, 0))
    assert store(tmp_path).load() == SOME
    store(tmp_path).save(OTHER)
    assert names(tmp_path) == sorted([recent.name, foreign.name, written.path.name])


# --- what is not trusted -----------------------------------------------------------------------

CONTENTS = {
    "empty": b"",
    "cut off": b'{"format": "opentelemetry-instru',
    "no text": b"\xff\xfe\x00\x80",
    "another file": b"[1, 2, 3]",
    "another object": b'{"a": 1}',
    "deep": b"[" * 60_000,
    "too large": b" " * (MAXIMUM_BYTES + 1),
    "long number": b'{"format": ' + b"9" * 5000 + b"}",
}


def assert_set_aside(
    tmp_path: Path, records: list[logging.LogRecord], cause: str = "", **identity: str
) -> None:
    """Check that loading and saving reject the file once, and that a new one takes its place."""
    rejecting = store(tmp_path, **identity)
    assert rejecting.load() is None
    (record,) = records
    message = record.getMessage()
    rejected = rejecting.path.with_suffix(".rejected")
    assert str(rejecting.path) in message
    assert message.endswith(f"set aside as {rejected.name}")
    assert cause in message
    assert "\n" not in message
    assert len(message) < 500
    assert os.path.lexists(rejected)
    assert not os.path.lexists(rejecting.path)
    rejecting.save(OTHER)
    assert store(tmp_path, **identity).load() == OTHER
    assert len(records) == 1


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_damaged_file_is_set_aside_with_one_warning(
    content: bytes, tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    store(tmp_path).path.write_bytes(content)
    assert_set_aside(tmp_path, warnings.records)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"version": 2}, "version 2, expected 1"),
        ({"version": "1" * 5000}, "version '1111"),
        ({"format": "something else"}, "not a baseline file"),
        ({"identity": {"service.name": "another"}}, "another service"),
        ({"identity": None}, "another service"),
        ({"sha256": "0" * 64}, "checksum"),
        ({"baseline": None}, "checksum"),
        ({"forgotten": 1}, "checksum"),
        ({"baseline": SOME.to_state() | {"version": 7}}, "checksum"),
        ({"baseline": OTHER.to_state()}, "checksum"),
    ],
    ids=str,
)
def test_file_that_says_something_else_is_set_aside(
    changes: dict[str, Any], cause: str, tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    store(tmp_path).save(SOME)
    rewrite(store(tmp_path).path, **changes)
    assert_set_aside(tmp_path, warnings.records, cause)


def test_state_that_is_not_possible_is_set_aside_even_with_its_checksum(
    tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    store(tmp_path).save(SOME)
    state = SOME.to_state()
    state["segments"]["native_heap"]["high_bytes"] = -1
    rewrite(store(tmp_path).path, baseline=state, sha256=store_module._checksum([0, state]))
    assert_set_aside(tmp_path, warnings.records, "outside of what is possible")


@pytest.mark.parametrize("position", range(0, 1000, 37))
def test_one_changed_byte_is_noticed_or_means_nothing(position: int, tmp_path: Path) -> None:
    written = store(tmp_path)
    written.save(SOME)
    content = bytearray(written.path.read_bytes())
    content[position % len(content)] ^= 1
    written.path.write_bytes(content)
    assert store(tmp_path).load() in (None, SOME)


def test_file_of_another_service_under_this_name_is_set_aside(
    tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, "other").save(SOME)
    store(tmp_path, "other").path.rename(store(tmp_path).path)
    assert_set_aside(tmp_path, warnings.records, "another service")


def test_link_that_leads_elsewhere_is_not_followed(
    tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    target = tmp_path / "target"
    target.write_text("precious")
    store(directory).path.symlink_to(target)
    assert_set_aside(directory, warnings.records)
    assert target.read_text() == "precious"


def test_pipe_does_not_block(tmp_path: Path, warnings: pytest.LogCaptureFixture) -> None:
    os.mkfifo(store(tmp_path).path)
    assert_set_aside(tmp_path, warnings.records, "not a regular file")


def test_directory_in_its_place_is_set_aside(
    tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    store(tmp_path).path.mkdir()
    assert_set_aside(tmp_path, warnings.records, "not a regular file")


def test_file_that_may_not_be_read_is_set_aside(
    tmp_path: Path, warnings: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Patched, since tests may run as a user who may read everything.
    store(tmp_path).save(SOME)
    really_open, refused = os.open, [store(tmp_path).path]

    def refuse(path: Any, *arguments: Any, **keywords: Any) -> int:
        if path in refused:
            refused.clear()
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return really_open(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", refuse)
    assert_set_aside(tmp_path, warnings.records, "Permission denied")


def test_process_without_descriptors_leaves_a_good_file_alone(
    tmp_path: Path, warnings: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path).save(SOME)

    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert store(tmp_path).load() is None
    assert "Too many open files" in warnings.text
    assert store(tmp_path).load() == SOME
    assert len(warnings.records) == 1


def test_file_that_cannot_be_read_for_a_moment_is_not_overwritten(
    tmp_path: Path, warnings: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = store(tmp_path)
    assert running.load() is None
    store(tmp_path).save(SOME)

    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        running.save(OTHER)
        running.save(OTHER)
        assert not running.forget()
        running.keep_forgotten()
    assert store(tmp_path).load() == SOME
    running.save(OTHER)
    assert store(tmp_path).load() == SOME.merged(OTHER)
    (record,) = warnings.records
    assert "Input/output error" in record.getMessage()


@pytest.mark.parametrize("forgotten", [-1, True, 0.0, None, 2**60])
def test_impossible_count_is_set_aside_even_with_its_checksum(
    forgotten: Any, tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    store(tmp_path).save(SOME)
    checksum = store_module._checksum([forgotten, SOME.to_state()])
    rewrite(store(tmp_path).path, forgotten=forgotten, sha256=checksum)
    assert_set_aside(tmp_path, warnings.records, "not a number of times")


# --- directories that cannot be written --------------------------------------------------------


def test_directory_that_cannot_be_made_is_one_warning_and_then_silence(
    tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    hopeless = store(tmp_path / "file" / "below")
    for _ in range(3):
        assert hopeless.load() is None
        hopeless.save(SOME)
    (record,) = warnings.records
    assert str(tmp_path / "file" / "below") in record.getMessage()


READ_ONLY = """
import logging, os, sys
from opentelemetry.instrumentation.memory._baseline_store import BaselineStore

if os.geteuid() == 0:  # who may write everything
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
logging.basicConfig(format="%(levelname)s %(message)s")
store = BaselineStore(sys.argv[1], "shop", "1.0")
for _ in range(2):
    store.save(store.load().merged(store.load().from_state(eval(sys.argv[2]))))
print(store.load().segments["native_heap"].high_bytes)
"""


def test_read_only_directory_is_read_and_not_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        store(directory).save(SOME)
        store(directory).path.chmod(0o444)
        directory.chmod(0o555)
        ended = subprocess.run(
            [sys.executable, "-c", READ_ONLY, name, repr(OTHER.to_state())],
            capture_output=True,
            text=True,
            check=False,
        )
        directory.chmod(0o700)
    assert ended.stdout == "120\n", ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"WARNING baselines are not saved in {name}: ")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_is_one_warning_and_leaves_nothing_behind(
    call: str, tmp_path: Path, warnings: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path).save(SOME)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), refuse)
    full = store(tmp_path)
    full.save(OTHER)
    full.save(OTHER)
    (record,) = warnings.records
    assert "No space left on device" in record.getMessage()
    assert names(tmp_path) == [full.path.name]
    assert full.load() == SOME


def test_directory_that_was_removed_is_made_again(tmp_path: Path) -> None:
    written = store(tmp_path / "state")
    written.save(SOME)
    written.path.unlink()
    written.path.parent.rmdir()
    written.save(OTHER)
    assert store(tmp_path / "state").load() == OTHER
