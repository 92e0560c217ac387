"""Debian packages, unpacked into the cache and not installed. Needs no root."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.toolbox.running import run
from scripts.toolbox.tool import ToolUnavailableError, platform_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

JEMALLOC_LIBRARY = "libjemalloc.so.2"


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


# For what is too old in the releases before. Its programs start on those too.
RELEASE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def release_key() -> str:
    """Return the release that is taken from, whatever this machine runs."""
    return f"{RELEASE}-{platform_key()}"


def install_from_release(
    package: str, programs: Sequence[str], *, instead: str
) -> Callable[[Path, Path], None]:
    """Return an installer that keeps these programs of a package, if they start here.

    Args:
        package: Of Debian, of a release that this machine need not run.
        programs: Names within its `/usr/bin`.
        instead: What else would help.
    """

    def install(folder: Path, log: Path) -> None:
        if not KEYRING.is_file():
            reason = f"Debian's keyring {KEYRING} is not here to check the package; {instead}"
            raise ToolUnavailableError(reason)
        source = f"deb [signed-by={KEYRING}] http://deb.debian.org/debian {RELEASE} main"
        unpack_package(package, folder, log, instead=instead, sources=source)
        for path in (folder / "usr" / "bin").iterdir():
            if path.name not in programs:
                path.unlink()
        for name in programs:
            command = [folder / "usr" / "bin" / name, "--help"]
            tried = subprocess.run(command, capture_output=True, text=True, check=False)
            if tried.returncode:
                raise ToolUnavailableError(f"{name} does not start here: {tried.stderr.strip()}")

    return install


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


def unpack_package(
    package: str, folder: Path, log: Path, *, instead: str, sources: str | None = None
) -> None:
    """Download and unpack a package with package lists of our own. Needs no root.

    Args:
        package: Its name.
        folder: Where its files go.
        log: Where the output of the programs that do it goes.
        instead: What else would help, where there are no Debian packages.
        sources: Where it comes from, as a line of apt's list; else the machine's own sources.
    """
    missing = [name for name in ("apt-get", "apt-config", "dpkg") if not shutil.which(name)]
    if missing:
        raise ToolUnavailableError(
            f"it comes as a Debian package, and there is no {' or '.join(missing)} here; "
            f"{instead} instead"
        )
    apt = folder / "apt"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    env = {"APT_CONFIG": str(write_apt_settings(apt, sources)), "LC_ALL": "C.UTF-8"}
    # Its exit code does not matter: a foreign source may be broken, the next step tells.
    with contextlib.suppress(ToolUnavailableError):
        run(["apt-get", "--quiet", "update"], log, cwd=apt, env=env)
    run(["apt-get", "--quiet", "download", package], log, cwd=apt, env=env)
    archive = next(apt.glob(f"{package}_*.deb"))
    run(["dpkg", "--extract", str(archive), str(folder)], log, cwd=apt)
    shutil.rmtree(apt)


def write_apt_settings(apt: Path, sources: str | None = None) -> Path:
    """Write the machine's apt settings (sources, proxies, keys) with other folders and no hooks.

    Sources that are given take the place of the machine's.
    """
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
    if sources is not None:
        (apt / "sources.list").write_text(f"{sources}\n", encoding="utf-8")
        (apt / "status").touch()
        kept += [
            # What is installed here may be a newer version, which that source does not have.
            f'Dir::State::status "{apt}/status";',
            f'Dir::Etc::sourcelist "{apt}/sources.list";',
            'Dir::Etc::sourceparts "/dev/null";',
        ]
    settings = apt / "apt.conf"
    settings.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return settings
