"""Wheels that carry a real program: Node.js, Go."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from scripts.toolbox.running import run
from scripts.toolbox.tool import platform_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def wheel_key(requirement: str) -> Callable[[], str]:
    """Return the key of a pinned wheel."""
    return lambda: f"{requirement.partition('==')[2]}-{platform_key()}"


def install_wheel(requirement: str) -> Callable[[Path, Path], None]:
    """Return an installer that unpacks one pinned wheel, without dependencies, into the folder."""

    def install(folder: Path, log: Path) -> None:
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        command = [sys.executable, "-m", "pip", "install", *options]
        run([*command, f"--target={folder}", requirement], log, cwd=folder)

    return install
