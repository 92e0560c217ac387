"""A process that forks while it lists its objects: the child keeps none of them alive."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "programs" / "census.py"


def test_child_lets_go_of_the_objects_that_its_parent_was_listing() -> None:
    # From 3.12 on Python warns when a process with threads forks.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", PROGRAM]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert not told["is_holding"]
    assert not told["is_alive"]
