"""Bare `os.fork`, at random moments and in unusual ways."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"


def run(program: str, *arguments: str) -> list[dict[str, object]]:
    """Run a program to its end, and return the JSON lines that it prints."""
    # From 3.12 on Python warns when a process with threads forks.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", PROGRAMS / program, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("sampling", ["thread", "collection"])
def test_hundred_children_each_report_their_own_memory_at_once(sampling: str) -> None:
    children = run("plain_forks.py", sampling)
    assert len(children) == 100
    silent = [number for number, child in enumerate(children) if not child.get("usage")]
    assert silent == []
    for child in children:
        (usage,) = child["usage"]  # type: ignore[misc]
        # It need not grow: the kernel may take pages back between the two.
        resident = child["resident"]
        assert 0.97 * min(resident) < usage < 1.03 * max(resident)  # type: ignore[call-overload]
        assert usage > child["held"]  # type: ignore[operator]
        assert sum(child["segments"]) == usage  # type: ignore[arg-type]
        assert child["threads"] == (1 if sampling == "thread" else 0)


SCENES = [
    "uninstrument_in_child",
    "instrument_again_in_child",
    "fork_inside_a_callback",
    "exec_after_fork",
    "subprocess_with_preexec",
    "daemon_without_descriptors",
    "chain_of_forks",
    "thread_cannot_start_in_child",
]


@pytest.mark.parametrize("scene", SCENES)
def test_unusual_fork(scene: str) -> None:
    assert run("scenes.py", scene) == [{"ok": True}]
