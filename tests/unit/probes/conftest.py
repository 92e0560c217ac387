from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], Path]:
    """Copy a recorded machine and let its mounts point into the copy; return its root."""

    def copy(name: str) -> Path:
        root = tmp_path / name
        shutil.copytree(DATA / "proc" / name, root)
        mountinfo = root / "proc/self/mountinfo"
        mountinfo.write_text(mountinfo.read_text().replace(" /sys/fs/", f" {root}/sys/fs/"))
        return root

    return copy
