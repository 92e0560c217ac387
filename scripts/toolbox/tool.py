"""What a tool is, and how it comes into the cache: whole or not at all, and once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
LINKS = "bin"


class ToolUnavailableError(Exception):
    """A tool cannot be had on this machine; the message says why and what would help."""


@dataclass(frozen=True)
class Tool:
    """A set of programs that is built or fetched as one.

    Attributes:
        programs: Name of each program and where it is inside the tool's folder.
        key: Names the version. Another key is another folder, so a change is never taken for done.
        install: Fills an empty folder, or raises `ToolUnavailableError`; gets the log to write to.
        use_system: Whether programs that are on PATH already are as good.
        is_for_people: Whether its programs are linked to from the cache's `bin`.
        cost: What the user waits for, in words.
    """

    name: str
    programs: dict[str, str]
    key: Callable[[], str]
    install: Callable[[Path, Path], None]
    use_system: bool
    is_for_people: bool
    cost: str

    def folder(self) -> Path:
        """Return the finished tool's folder; it exists only when the tool is complete."""
        return CACHE / self.name / self.key()

    def reason_file(self) -> Path:
        """Return the file that keeps the reason of the last failure for the test report."""
        return CACHE / self.name / "unavailable.txt"


def find(tool: Tool, program: str) -> Path | None:
    """Return a program's path, or None when it has not been installed. Cheap; never installs."""
    path = tool.folder() / tool.programs[program]
    if path.is_file():
        return path
    on_path = shutil.which(program, path=system_path()) if tool.use_system else None
    return Path(on_path) if on_path else None


def system_path() -> str:
    """Return PATH without our own links: one of them may lead to a version that is no longer it."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(each for each in folders if Path(each) != CACHE / LINKS)


def link(tool: Tool) -> None:
    """Let the cache's `bin` lead to the programs of a tool that is in the cache."""
    if not tool.is_for_people or not tool.folder().exists():
        return
    links = CACHE / LINKS
    links.mkdir(parents=True, exist_ok=True)
    for program, inside in tool.programs.items():
        fresh = links / f".{program}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        # Relative, so that the project may be moved; renamed, so that there always is a link.
        fresh.symlink_to(Path("..") / tool.folder().relative_to(CACHE) / inside)
        fresh.replace(links / program)


def why_missing(tool: Tool) -> str:
    """Return why the last attempt failed, in one line."""
    try:
        return tool.reason_file().read_text(encoding="utf-8").strip()
    except OSError:
        return "not installed yet; run `make tools`"


def ensure(tool: Tool) -> None:
    """Install a tool unless it is there; safe to interrupt and to run twice at the same time.

    Raises:
        ToolUnavailableError: It cannot be had; the reason is kept for `why_missing`.
    """
    if all(find(tool, program) for program in tool.programs):
        link(tool)
        say(tool.name, f"ready: {', '.join(str(find(tool, p)) for p in tool.programs)}")
        return
    with only_one_at_a_time(tool):
        if not tool.folder().exists():  # the one before us may have done it
            try:
                install_whole(tool)
            except ToolUnavailableError as error:
                tool.reason_file().write_text(f"{error}\n", encoding="utf-8")
                raise
        tool.reason_file().unlink(missing_ok=True)
    link(tool)
    say(tool.name, f"ready: {', '.join(str(find(tool, p)) for p in tool.programs)}")


def install_whole(tool: Tool) -> None:
    """Install next to the final place and move it there last: half a tool never counts as done."""
    started = time.monotonic()
    say(tool.name, f"not in the cache; {tool.cost}")
    partial = CACHE / tool.name / "partial"
    log = CACHE / tool.name / "install.log"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    log.write_text("", encoding="utf-8")
    tool.install(partial, log)
    for inside in tool.programs.values():
        if not os.access(partial / inside, os.X_OK):
            raise ToolUnavailableError(f"installed without error, but there is no {inside} in it")
    partial.rename(tool.folder())
    say(tool.name, f"done after {time.monotonic() - started:.0f} s")


@contextlib.contextmanager
def only_one_at_a_time(tool: Tool) -> Iterator[None]:
    """Hold the tool's lock, which the system lets go of when this process ends, however it ends."""
    home = CACHE / tool.name
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(tool.name, "another process is installing it; waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(tool: str, message: str) -> None:
    """Print one progress line at once, also into a pipe."""
    print(f"{tool}: {message}", flush=True)


def platform_key() -> str:
    """Return what a compiled program depends on besides its version."""
    return f"{sys.platform}-{platform.machine()}"
