from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import MIB

from opentelemetry.instrumentation.memory._probes.base import Limit
from opentelemetry.instrumentation.memory._probes.cgroup import (
    LimitProbe,
    Mount,
    limit_files,
    nearest_mount,
    parse_limit,
    parse_membership,
    parse_mounts,
    working_set,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Machine = Callable[[str], Path]

# What a kernel may write into these files: any text, and often text that looks like theirs.
texts = st.text() | st.text(alphabet="01289:,-/\\. \nabcdegmnoprtuy\x85\u2028", max_size=200)
names = st.text(
    st.characters(exclude_characters="/\n\x00", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: name not in {".", ".."})
paths = st.lists(names, max_size=5).map(lambda parts: "/" + "/".join(parts))


def probe_of(root: Path, setting_bytes: int | None = None) -> LimitProbe:
    return LimitProbe(setting_bytes, str(root / "proc/self"))


@pytest.mark.parametrize(
    ("name", "limit_bytes", "file"),
    [
        ("v2-container", 512 * MIB, "memory.max"),
        ("v2-nested", 800 * MIB, "user.slice/user-1000.slice/memory.max"),
        ("v2-threaded", 600 * MIB, "pool/memory.max"),
        ("v1-docker", 256 * MIB, "memory/memory.limit_in_bytes"),
        ("hybrid", 384 * MIB, "memory/batch/memory.limit_in_bytes"),
        ("systemd-slice", 2048 * MIB, "system.slice/shop\\x2dapi.service/memory.max"),
        ("outside-namespace", 700 * MIB, "memory.max"),
    ],
)
def test_smallest_limit_of_all_ancestors_is_found(
    machine: Machine, name: str, limit_bytes: int, file: str
) -> None:
    root = machine(name)
    limit = probe_of(root).read()
    assert (limit.bytes, limit.origin) == (limit_bytes, f"{root}/sys/fs/cgroup/{file}")


def test_escaped_mount_point_is_found(machine: Machine) -> None:
    root = machine("v2-blank-in-mount-point")
    limit = Limit(300 * MIB, f"{root}/sys/fs/c group/app/memory.max")
    assert probe_of(root).read() == limit


@pytest.mark.parametrize("name", ["no-limit", "gvisor", "old-kernel"])
def test_no_limit_is_none(machine: Machine, name: str) -> None:
    probe = probe_of(machine(name))
    assert probe.read() is None
    assert probe.unreadable == ()


def test_machine_without_proc_has_no_limit(tmp_path: Path) -> None:
    assert probe_of(tmp_path).read() is None


def test_smallest_of_setting_and_groups_counts(machine: Machine) -> None:
    root = machine("v2-container")
    assert probe_of(root, 100 * MIB).read() == Limit(100 * MIB, "setting limit_bytes")
    assert probe_of(root, 1000 * MIB).read().bytes == 512 * MIB


def test_changed_limit_shows_at_the_next_read(machine: Machine) -> None:
    root = machine("v2-container")
    probe = probe_of(root)
    assert probe.read().bytes == 512 * MIB
    (root / "sys/fs/cgroup/memory.max").write_text("1073741824\n")
    assert probe.read().bytes == 1024 * MIB
    (root / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert probe.read() is None


# The working set, and where it is told.
SHARED = {
    "v2-container": (440 * MIB, "sys/fs/cgroup"),
    "v2-nested": (690 * MIB, "sys/fs/cgroup/user.slice/user-1000.slice"),
    "v1-docker": (190 * MIB, "sys/fs/cgroup/memory"),
    "hybrid": (316 * MIB, "sys/fs/cgroup/memory/batch"),
}


@pytest.mark.parametrize("name", SHARED)
def test_limit_comes_with_the_working_set_of_the_very_group_that_sets_it(
    machine: Machine, name: str
) -> None:
    assert probe_of(machine(name)).read().usage_bytes == SHARED[name][0]


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("file_name", ["memory.stat", "usage"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\n", b"inactive_file much\n"])
def test_usage_that_cannot_be_read_is_none_and_the_limit_stays(
    machine: Machine, name: str, file_name: str, content: bytes | None
) -> None:
    root = machine(name)
    group = root / SHARED[name][1]
    if file_name == "usage":
        is_second = (group / "memory.current").exists()
        file_name = "memory.current" if is_second else "memory.usage_in_bytes"
    limit_bytes = probe_of(root).read().bytes
    (group / file_name).unlink()
    if content is not None:
        (group / file_name).write_bytes(content)
    limit = probe_of(root).read()
    assert (limit.bytes, limit.usage_bytes) == (limit_bytes, None)


def test_setting_that_is_smaller_has_no_shared_usage(machine: Machine) -> None:
    assert probe_of(machine("v2-container"), 100 * MIB).read().usage_bytes is None


def test_setting_that_repeats_the_limit_of_a_group_leaves_it_shared(machine: Machine) -> None:
    assert probe_of(machine("v2-container"), 512 * MIB).read().usage_bytes == 440 * MIB


def test_changed_usage_shows_at_the_next_read(machine: Machine) -> None:
    root = machine("v2-container")
    probe = probe_of(root)
    assert probe.read().usage_bytes == 440 * MIB
    (root / "sys/fs/cgroup/memory.current").write_text(f"{512 * MIB}\n")
    assert probe.read().usage_bytes == 452 * MIB


def test_process_moved_to_another_group_gets_its_limit(machine: Machine) -> None:
    root = machine("hybrid")
    probe = probe_of(root)
    assert probe.read().bytes == 384 * MIB
    moved = root / "sys/fs/cgroup/memory/online"
    moved.mkdir()
    (moved / "memory.limit_in_bytes").write_text("104857600\n")
    (root / "proc/self/cgroup").write_text("4:memory:/online\n0::/\n")
    assert probe.read() == Limit(100 * MIB, str(moved / "memory.limit_in_bytes"))


def test_limit_file_that_appears_later_is_read(machine: Machine) -> None:
    # systemd does this when it switches the memory controller on for a running service.
    root = machine("no-limit")
    probe = probe_of(root)
    (root / "sys/fs/cgroup/app/memory.max").unlink(missing_ok=True)
    assert probe.read() is None
    (root / "sys/fs/cgroup/app/memory.max").write_text("209715200\n")
    assert probe.read().bytes == 200 * MIB


def test_deleted_group_leaves_the_limits_of_its_ancestors(machine: Machine) -> None:
    root = machine("v2-nested")
    gone = (root / "proc/self/cgroup").read_text().strip() + " (deleted)\n"
    (root / "proc/self/cgroup").write_text(gone)
    assert probe_of(root).read().bytes == 800 * MIB


def test_senseless_limit_is_told_and_the_others_still_count(machine: Machine) -> None:
    root = machine("v2-nested")
    (root / "sys/fs/cgroup/user.slice/memory.max").write_bytes(b"\xff\n")
    probe = probe_of(root)
    assert probe.read().bytes == 800 * MIB
    (message,) = probe.unreadable
    assert message.startswith(f"{root}/sys/fs/cgroup/user.slice/memory.max: ")


def test_unreadable_limit_is_told_and_no_longer_once_it_can_be_read(machine: Machine) -> None:
    root = machine("v2-container")
    limit = root / "sys/fs/cgroup/memory.max"
    limit.unlink()
    limit.mkdir()  # what root cannot read either
    probe = probe_of(root)
    assert probe.read() is None
    assert [message.split(":")[0] for message in probe.unreadable] == [str(limit)]
    limit.rmdir()
    limit.write_text("536870912\n")
    assert probe.read().bytes == 512 * MIB
    assert probe.unreadable == ()


def test_unreadable_membership_keeps_the_setting(machine: Machine) -> None:
    root = machine("v2-container")
    (root / "proc/self/cgroup").unlink()
    (root / "proc/self/cgroup").mkdir()
    probe = probe_of(root, 100 * MIB)
    assert probe.read().bytes == 100 * MIB
    (message,) = probe.unreadable
    assert message.startswith(f"{root}/proc/self/cgroup: ")


def test_group_whose_name_is_no_text_is_found(machine: Machine) -> None:
    root = machine("no-limit")
    name = b"caf\xe9\x85shop"
    group = os.fsencode(root / "sys/fs/cgroup") + b"/" + name
    Path(os.fsdecode(group)).mkdir()
    Path(os.fsdecode(group + b"/memory.max")).write_text("209715200\n")
    (root / "proc/self/cgroup").write_bytes(b"0::/" + name + b"\n")
    assert probe_of(root).read().bytes == 200 * MIB


def test_mount_that_shows_the_group_is_preferred(machine: Machine) -> None:
    root = machine("no-limit")
    mountinfo = root / "proc/self/mountinfo"
    elsewhere = f"29 21 0:26 /other {root}/elsewhere rw - cgroup2 cgroup2 rw\n"
    mountinfo.write_text(elsewhere + mountinfo.read_text())
    (root / "sys/fs/cgroup/app/memory.max").write_text("209715200\n")
    assert probe_of(root).read().bytes == 200 * MIB


def test_address_space_limit_of_a_real_process_counts() -> None:
    limit_bytes = 8192 * MIB
    # Set by the process itself: between fork and exec a child is as large as this one.
    script = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({limit_bytes}, {limit_bytes}))\n"
        "from opentelemetry.instrumentation.memory._probes.cgroup import LimitProbe\n"
        "print(LimitProbe(proc='/nowhere').read())"
    )
    child = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert child.stdout.strip() == repr(
        Limit(limit_bytes, "RLIMIT_AS", usage_bytes=None, is_of_virtual_size=True)
    )


@pytest.fixture
def real_group() -> Path | None:
    """Make a group with a limit of 300 MiB under our own; None where that is not allowed."""
    probe = LimitProbe()
    probe.read()
    nearest = next(iter(probe._files), None)
    group = None if nearest is None else Path(nearest).parent / f"memory-test-{os.getpid()}"
    if group is None:
        yield None
        return
    try:
        group.mkdir()
        (group / Path(nearest).name).write_text(str(300 * MIB))
        is_allowed = os.access(group / "cgroup.procs", os.W_OK)
    except OSError:
        is_allowed = False
    yield group if is_allowed else None
    with suppress(OSError):
        group.rmdir()


def test_limit_of_a_group_is_found_by_the_process_in_it(
    real_group: Path | None, machine: Machine
) -> None:
    script = (
        "import os, sys\n"
        "from opentelemetry.instrumentation.memory._probes.cgroup import LimitProbe\n"
        "probe = LimitProbe(proc=sys.argv[2])\n"
        "probe.read()\n"
        "if sys.argv[1]:\n"
        "    open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
        "print(probe.read().bytes)\n"
    )
    if real_group is None:
        # Without the right to make a group, the recorded machine stands in.
        where, proc, limit_bytes = "", str(machine("hybrid") / "proc/self"), 384 * MIB
    else:
        where, proc, limit_bytes = str(real_group), "/proc/self", 300 * MIB
    child = subprocess.run(
        [sys.executable, "-c", script, where, proc], capture_output=True, check=True, text=True
    )
    assert int(child.stdout) == limit_bytes


@given(texts)
def test_any_mountinfo_is_parsed_without_an_error(text: str) -> None:
    for mounts in parse_mounts(text):
        assert all(isinstance(mount, Mount) for mount in mounts)


@given(texts)
def test_any_membership_is_parsed_without_an_error(text: str) -> None:
    assert all(path is None or isinstance(path, str) for path in parse_membership(text))


@given(texts | st.integers().map(str))
def test_any_limit_is_bytes_or_none_or_a_value_error(text: str) -> None:
    try:
        limit = parse_limit(text)
    except ValueError:
        return
    assert limit is None or 0 < limit < 2**60


@given(st.integers(1, 2**60 - 1))
def test_written_limit_is_read_back(limit_bytes: int) -> None:
    assert parse_limit(f"{limit_bytes}\n") == limit_bytes


@given(st.integers(0, 2**60), st.integers(0, 2**60))
def test_working_set_is_usage_without_cache_and_never_negative(usage: int, cache: int) -> None:
    stat = f"anon 7\ninactive_file {cache}\ntotal_inactive_file 9\n".encode()
    assert working_set(b"%d\n" % usage, stat, b"inactive_file") == max(usage - cache, 0)


@given(st.binary() | texts.map(str.encode), st.binary() | texts.map(str.encode))
def test_any_usage_is_bytes_or_none_or_a_value_error(usage: bytes, stat: bytes) -> None:
    try:
        told = working_set(usage, stat, b"inactive_file")
    except ValueError:
        return
    assert told is None or told >= 0


@given(st.integers(2**60, 2**64))
def test_limit_beyond_any_machine_is_none(limit_bytes: int) -> None:
    assert parse_limit(f"{limit_bytes}\n") is None


def escaped(name: str) -> str:
    for character in "\\ \t\n":
        name = name.replace(character, f"\\{ord(character):03o}")
    return name


@given(root=paths, point=paths, group=paths)
def test_written_mount_and_membership_are_read_back(root: str, point: str, group: str) -> None:
    line = f"30 21 0:26 {escaped(root)} {escaped(point)} rw shared:4 - cgroup2 cgroup2 rw\n"
    assert parse_mounts(line) == ((), (Mount(root, point, "memory.max"),))
    assert parse_membership(f"5:cpu:/\n0::{group}\n") == (None, group)


@given(root=paths, point=paths, below=paths)
def test_limit_files_go_from_the_group_up_to_the_mount_point(
    root: str, point: str, below: str
) -> None:
    mount = Mount(root, point, "memory.max")
    files = [Path(file) for file in limit_files(mount, root.rstrip("/") + below)]
    assert files[0] == Path(f"/{(point + below).strip('/')}") / "memory.max"
    assert files[-1] == Path(point) / "memory.max"
    assert [file.parent for file in files[1:]] == [file.parent.parent for file in files[:-1]]


@given(st.lists(st.builds(Mount, texts, texts, st.just("memory.max")), max_size=3), texts)
def test_limit_files_never_leave_the_mount_point(mounts: list[Mount], path: str) -> None:
    mount = nearest_mount(mounts, path)
    assert (mount is None) == (not mounts)
    if mount is not None:
        inside = os.path.normpath(mount.point)
        for file in limit_files(mount, path):
            assert os.path.normpath(file).startswith(inside.rstrip("./")) or inside == "."
