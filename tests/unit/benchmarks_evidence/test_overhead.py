"""What a witness has felt, beside the control."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from overhead import Line, lines, measure

if TYPE_CHECKING:
    from pathlib import Path


def witnessed(*, investigating_from: float = 10.0) -> list[Line]:
    """A leak of 1,000 bytes a second live at 2, CPU 0.1 s a second, 0.3 while investigated."""
    found = []
    cpu = 0.0
    for quarter in range(80):
        at = quarter / 4
        is_investigated = at > investigating_from
        cpu += 0.25 * (0.3 if is_investigated else 0.1)
        found.append(
            Line(
                at=at,
                live_at=2.0,
                delay_seconds=0.5 if at < 2 else 0.02 if is_investigated else 0.01,
                cpu_seconds=cpu,
                resident_bytes=int(1000 * at) + (5000 if 12 <= at < 13 else 0),
            )
        )
    return found


def test_added_cpu_is_what_exceeds_the_pace_of_the_control() -> None:
    overhead = measure(witnessed(), 10.0, 15.0)
    assert overhead is not None
    assert overhead.added_cpu_seconds == pytest.approx(5 * 0.2)


def test_pause_of_the_investigation_stands_beside_that_of_the_control() -> None:
    overhead = measure(witnessed(), 10.0, 15.0)
    assert overhead is not None
    # The start of the program, before the leak, is in neither.
    assert (overhead.pause_seconds, overhead.control_pause_seconds) == (0.02, 0.01)


def test_memory_is_what_comes_and_goes_and_not_the_leak() -> None:
    overhead = measure(witnessed(), 10.0, 15.0)
    assert overhead is not None
    assert overhead.added_bytes == pytest.approx(5000)


def test_without_a_control_nothing_is_told() -> None:
    assert measure(witnessed(), 2.1, 15.0) is None


def test_half_a_line_is_left_for_later(tmp_path: Path) -> None:
    file = tmp_path / "witness.jsonl"
    whole = {"at": 1, "live_at": 2, "delay_seconds": 0, "cpu_seconds": 0, "resident_bytes": 7}
    file.write_text(f'{json.dumps(whole)}\n{{"at": 1.2')
    assert [line.resident_bytes for line in lines(file)] == [7]


def test_witness_that_has_not_begun_has_no_lines(tmp_path: Path) -> None:
    assert lines(tmp_path / "none.jsonl") == []
