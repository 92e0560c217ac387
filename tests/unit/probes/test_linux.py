from __future__ import annotations

import mmap
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import MIB

from opentelemetry.instrumentation.memory._probes.base import Resident
from opentelemetry.instrumentation.memory._probes.linux import (
    SharedMemoryProbe,
    StatmProbe,
    parse_shared_memory,
    parse_statm,
)
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Machine = Callable[[str], Path]

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def probe() -> Iterator[StatmProbe]:
    probe = StatmProbe()
    yield probe
    probe.close()


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are what is compared


def test_recorded_statm_is_read_in_bytes(machine: Machine) -> None:
    probe = StatmProbe(str(machine("v2-container") / "proc/self/statm"))
    pages = Resident(25600 * PAGE_BYTES, 103084 * PAGE_BYTES, 3584 * PAGE_BYTES)
    assert probe.read() == pages
    probe.close()


def test_zero_resident_set_is_an_error_and_keeps_one_descriptor(machine: Machine) -> None:
    probe = StatmProbe(str(machine("gvisor") / "proc/self/statm"))
    before = open_descriptors()
    for _ in range(5):
        with pytest.raises(ValueError, match="resident set of zero pages"):
            probe.read()
    assert len(open_descriptors() - before) == 1
    probe.close()
    assert open_descriptors() == before


def test_unknown_mapped_size_is_none() -> None:
    assert parse_statm(b"53120 7000 0 0 0 0 0\n", 4096).mapped_bytes is None


def test_mapped_size_is_never_more_than_resident() -> None:
    assert parse_statm(b"900 10 12 0 0 0 0\n", 4096) == Resident(40960, 900 * 4096, 40960)


@pytest.mark.parametrize("text", [b"", b"1 2 3\n", b"1 2 x 0 0 0 0\n", b"9 -1 0 0 0 0 0\n"])
def test_other_text_is_not_taken_for_statm(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kind is what counts
        parse_statm(text)


@given(st.binary(max_size=300) | st.text("0123456789- _", max_size=80).map(str.encode))
def test_any_bytes_are_sizes_or_a_value_error(text: bytes) -> None:
    try:
        resident = parse_statm(text)
    except ValueError:
        return
    assert resident.resident_bytes > 0
    assert (resident.mapped_bytes or 0) <= resident.resident_bytes


@given(st.integers(1, 2**40), st.integers(1, 2**40), st.integers(1, 2**40))
def test_written_statm_is_read_back(size: int, resident: int, shared: int) -> None:
    text = f"{size} {resident} {shared} 1 0 2 0\n".encode()
    mapped = min(shared, resident)
    assert parse_statm(text, 4096) == Resident(resident * 4096, size * 4096, mapped * 4096)


def test_process_without_proc_has_no_statm(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="mount /proc"):
        StatmProbe(str(tmp_path / "statm")).read()


def test_resident_set_is_the_kernels(probe: StatmProbe) -> None:
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        pages = int(statm.read().split()[1])
    assert probe.read().resident_bytes == pytest.approx(pages * PAGE_BYTES, rel=0.05)


def test_descriptor_is_kept_between_reads_and_given_back(probe: StatmProbe) -> None:
    before = open_descriptors()
    probe.read()
    opened = open_descriptors() - before
    probe.read()
    assert len(opened) == 1
    assert open_descriptors() - before == opened
    probe.close()
    assert open_descriptors() == before


def test_closed_probe_may_be_read_again(probe: StatmProbe) -> None:
    probe.read()
    probe.close()
    assert probe.read().resident_bytes > 0


def test_descriptor_closed_by_a_daemon_is_opened_again(probe: StatmProbe) -> None:
    probe.read()
    os.close(probe._descriptor)
    assert probe.read().resident_bytes > 0


def test_number_taken_over_by_another_file_is_neither_read_nor_closed(
    probe: StatmProbe, tmp_path: Path
) -> None:
    other = tmp_path / "looks-like-statm"
    other.write_text("3 2 1 0 0 0 0\n")
    probe.read()
    number = probe._descriptor
    descriptor = os.open(other, os.O_RDONLY)
    os.dup2(descriptor, number)
    os.close(descriptor)
    assert probe.read().resident_bytes > 2 * PAGE_BYTES
    assert os.read(number, 100) == b"3 2 1 0 0 0 0\n"
    probe.close()
    os.close(number)


@pytest.mark.parametrize("content", ["", "x\n", "1 2 3\n", "9 0 0 0 0 0 0\n"])
def test_number_taken_over_by_what_is_no_statm_is_opened_again(
    probe: StatmProbe, tmp_path: Path, content: str
) -> None:
    other = tmp_path / "other"
    other.write_text(content)
    probe.read()
    number = probe._descriptor
    descriptor = os.open(other, os.O_RDONLY)
    os.dup2(descriptor, number)
    os.close(descriptor)
    assert probe.read().resident_bytes > 2 * PAGE_BYTES
    assert probe._descriptor != number
    os.close(number)


def test_number_taken_over_by_another_process_s_statm_is_opened_again(probe: StatmProbe) -> None:
    own_bytes = probe.read().virtual_bytes
    number = probe._descriptor
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        descriptor = os.open(f"/proc/{child.pid}/statm", os.O_RDONLY)
        os.dup2(descriptor, number)
        os.close(descriptor)
        assert probe.read().virtual_bytes == pytest.approx(own_bytes, rel=0.01)
        assert probe._descriptor != number
    finally:
        child.communicate(b"\n")
        os.close(number)


def test_changed_virtual_size_keeps_a_descriptor_that_is_ours(probe: StatmProbe) -> None:
    before = probe.read()
    number = probe._descriptor
    held = mmap.mmap(-1, 64 * MIB)
    assert probe.read().virtual_bytes >= before.virtual_bytes + 64 * MIB
    held.close()
    assert probe._descriptor == number


def test_close_leaves_a_number_that_is_somebody_elses(probe: StatmProbe, tmp_path: Path) -> None:
    probe.read()
    number = probe._descriptor
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.dup2(descriptor, number)
    os.close(descriptor)
    probe.close()
    os.close(number)  # raises if the probe had closed it


def test_forked_child_reads_its_own_pages_with_its_parents_probe(probe: StatmProbe) -> None:
    probe.read()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        before = probe.read().resident_bytes
        held = bytearray(b"x" * (64 * MIB))
        os.write(writer, str(probe.read().resident_bytes - before).encode())
        os._exit(len(held) == 0)
    os.close(writer)
    _, status = os.waitpid(pid, 0)
    gained_bytes = int(os.read(reader, 100))
    os.close(reader)
    assert status == 0
    assert gained_bytes > 48 * MIB


def test_recorded_shared_memory_is_read_in_bytes(machine: Machine) -> None:
    probe = SharedMemoryProbe(str(machine("hybrid") / "proc/self/status"))
    assert [probe.read() for _ in range(3)] == [2 * MIB] * 3
    probe.close()


@pytest.mark.parametrize("name", ["old-kernel", "gvisor"])
def test_status_without_shared_memory_is_an_absent_source(machine: Machine, name: str) -> None:
    with pytest.raises(SourceUnavailable, match=r"Linux 4\.5"):
        SharedMemoryProbe(str(machine(name) / "proc/self/status")).read()


def test_missing_status_is_an_absent_source(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="mount /proc"):
        SharedMemoryProbe(str(tmp_path / "status")).read()


@pytest.mark.parametrize("line", [b"12", b"12 MB\n", b" kB\n", b"-3 kB\n", b"x kB\n"])
def test_line_without_a_number_of_kb_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kind is what counts
        parse_shared_memory(b"Name:\tx\nRssShmem:\t" + line)


def test_status_of_a_process_in_many_groups_is_read_to_its_end(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Groups:\t" + "1000 " * 20_000 + "\nRssShmem:\t      12 kB\n")
    probe = SharedMemoryProbe(str(status))
    assert [probe.read() for _ in range(2)] == [12 * 1024] * 2
    probe.close()


@pytest.fixture
def shared_probe() -> Iterator[SharedMemoryProbe]:
    probe = SharedMemoryProbe()
    yield probe
    probe.close()


def test_status_stays_open_between_reads_and_is_given_back(
    shared_probe: SharedMemoryProbe,
) -> None:
    before = open_descriptors()
    shared_probe.read()
    opened = open_descriptors() - before
    shared_probe.read()
    assert len(opened) == 1
    assert open_descriptors() - before == opened
    shared_probe.close()
    assert open_descriptors() == before
    assert shared_probe.read() >= 0


def test_shared_memory_is_counted_by_the_descriptor_that_stays_open(
    shared_probe: SharedMemoryProbe,
) -> None:
    before = shared_probe.read()
    number = shared_probe._descriptor
    with mmap.mmap(-1, 8 * MIB) as held:
        held.write(b"x" * (8 * MIB))
        assert shared_probe.read() - before == pytest.approx(8 * MIB, rel=0.03)
    assert shared_probe._descriptor == number


def test_status_closed_by_a_daemon_is_opened_again(shared_probe: SharedMemoryProbe) -> None:
    before = shared_probe.read()
    os.close(shared_probe._descriptor)
    assert shared_probe.read() == pytest.approx(before, abs=MIB)


def test_status_of_another_process_under_the_same_number_is_not_told(
    shared_probe: SharedMemoryProbe,
) -> None:
    with mmap.mmap(-1, 8 * MIB) as held:
        held.write(b"x" * (8 * MIB))
        before = shared_probe.read()
        number = shared_probe._descriptor
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            descriptor = os.open(f"/proc/{child.pid}/status", os.O_RDONLY)
            os.dup2(descriptor, number)
            os.close(descriptor)
            assert shared_probe.read() == pytest.approx(before, abs=MIB)
            assert shared_probe._descriptor != number
        finally:
            child.communicate(b"\n")
            os.close(number)  # raises if the probe had closed it


def test_forked_child_reads_its_own_status_with_its_parents_probe(
    shared_probe: SharedMemoryProbe,
) -> None:
    parent_bytes = shared_probe.read()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        held = mmap.mmap(-1, 8 * MIB)
        held.write(b"x" * (8 * MIB))
        os.write(writer, str(shared_probe.read()).encode())
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(pid, 0)
    child_bytes = int(os.read(reader, 100))
    os.close(reader)
    assert status == 0
    assert child_bytes > 7 * MIB
    assert shared_probe.read() == pytest.approx(parent_bytes, abs=MIB)


def test_process_named_like_a_line_of_status_does_not_mislead() -> None:
    # The kernel escapes a line feed in a name, so the line stays one.
    text = b"Name:\tx\\nRssShmem:       9 kB\nRssShmem:\t      12 kB\n"
    assert parse_shared_memory(text) == 12 * 1024


@given(st.binary() | st.text("RsShmem: \t\n0123456789kB").map(str.encode))
def test_any_status_is_bytes_or_a_documented_error(text: bytes) -> None:
    try:
        shared_bytes = parse_shared_memory(text)
    except (SourceUnavailable, ValueError):
        return
    assert shared_bytes >= 0


@given(st.integers(0, 2**50), st.binary(max_size=50).filter(lambda text: b"\n" not in text))
def test_written_shared_memory_is_read_back(kib: int, name: bytes) -> None:
    text = b"Name:\t" + name + f"\nRssShmem:\t{kib:8d} kB\nVmData:\t9 kB\n".encode()
    assert parse_shared_memory(text) == kib * 1024
