"""The smallest memory limit that applies: control groups, RLIMIT_AS and the setting.

Kernel: Documentation/admin-guide/cgroup-v2.rst (`memory.max`), cgroup-v1/memory.rst
(`memory.limit_in_bytes`). A limit of any ancestor holds for its descendants, which use it up
together.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._probes.base import Limit
from opentelemetry.instrumentation.memory._probes.files import read_small_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# cgroup v1 writes the largest page-aligned integer for "no limit"; no machine has an exbibyte.
_UNLIMITED_BYTES: Final = 2**60

# Beside each limit file: the file that tells what counts against it, and the line of `memory.stat`
# that tells how much of that is cache which the kernel gives up first, descendants included.
_USAGE: Final = {
    "memory.max": ("memory.current", b"inactive_file"),
    "memory.limit_in_bytes": ("memory.usage_in_bytes", b"total_inactive_file"),
}


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted hierarchy that has the memory controller, or may have it."""

    root: str
    point: str
    file_name: str


def parse_mounts(mountinfo: str) -> tuple[tuple[Mount, ...], tuple[Mount, ...]]:
    """Return the version 1 memory mounts and the version 2 mounts in `/proc/self/mountinfo`."""
    first, second = [], []
    for line in mountinfo.split("\n"):
        # The kernel escapes blanks in names and separates by single ones: no other white space
        # ends a field (proc(5)).
        before, separator, after = line.partition(" - ")
        fields, details = before.split(" "), after.split(" ")
        if not separator or len(fields) < 5 or len(details) < 3:  # noqa: PLR2004 - proc(5)
            continue
        root, point = _unescape(fields[3]), _unescape(fields[4])
        if details[0] == "cgroup2":
            second.append(Mount(root, point, "memory.max"))
        elif details[0] == "cgroup" and "memory" in details[2].split(","):
            first.append(Mount(root, point, "memory.limit_in_bytes"))
    return tuple(first), tuple(second)


def parse_membership(cgroup: str) -> tuple[str | None, str | None]:
    """Return the version 1 memory path and the version 2 path in `/proc/self/cgroup`."""
    first = second = None
    for line in cgroup.split("\n"):
        hierarchy, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if not separator:
            continue
        if hierarchy == "0" and not controllers:
            second = path
        elif "memory" in controllers.split(","):
            first = path
    return first, second


def nearest_mount(mounts: Sequence[Mount], path: str) -> Mount | None:
    """Return the mount that shows the group at `path`, or the first one where none does.

    A hierarchy can be mounted more than once, each time from another group downwards.
    """
    group = PurePosixPath(path)
    showing = (mount for mount in mounts if group.is_relative_to(mount.root))
    return next(showing, mounts[0] if mounts else None)


def limit_files(mount: Mount, path: str) -> Iterator[str]:
    """Yield the limit files that apply, from the process's own group up to the mount point.

    Inside a container the path may be that of the host, beyond what is mounted: then the mount
    point itself is the nearest group that can be seen.
    """
    inside = PurePosixPath(mount.root)
    group = PurePosixPath(path)
    relative = group.relative_to(inside) if group.is_relative_to(inside) else PurePosixPath()
    if ".." in relative.parts:
        relative = PurePosixPath()
    for directory in (relative, *relative.parents):
        yield str(PurePosixPath(mount.point) / directory / mount.file_name)


def parse_limit(text: str) -> int | None:
    """Return the bytes in a limit file, or None when it says that there is no limit.

    Raises:
        ValueError: The text is neither a number nor `max`.
    """
    text = text.strip()
    if text == "max":
        return None
    limit = int(text)
    return None if limit <= 0 or limit >= _UNLIMITED_BYTES else limit


def working_set(usage: bytes, stat: bytes, cache_line: bytes) -> int | None:
    """Return a group's usage in bytes without the cache that is given up first.

    None where `memory.stat` does not tell that cache: it may be nearly all of the usage.

    Raises:
        ValueError: There is no number where one belongs.
    """
    for line in stat.split(b"\n"):
        name, _, cache = line.partition(b" ")
        if name == cache_line:
            return max(int(usage) - int(cache), 0)
    return None


class LimitProbe:
    """Reads all limits anew each time, since each of them can change while the process runs.

    Costs about 5 µs a file; of the group whose limit is the smallest two more are read, for its
    usage. A file that does not exist sets no limit, and is looked for each time, since the memory
    controller can be switched on later; one that cannot be read is listed in `unreadable`, for
    `opentelemetry-memory doctor`.
    """

    name = "limit"

    def __init__(self, setting_bytes: int | None = None, proc: str = "/proc/self") -> None:
        self._setting_bytes = setting_bytes
        self._proc = proc
        self._membership = b""
        self._files: tuple[str, ...] = ()
        self._unreadable: list[str] = []
        self.unreadable: tuple[str, ...] = ()

    def read(self) -> Limit | None:
        """Return the smallest limit with what counts against it, or None when none applies."""
        smallest = min(self._limits(), key=lambda limit: limit.bytes, default=None)
        return None if smallest is None else replace(smallest, usage_bytes=_shared_usage(smallest))

    def close(self) -> None:
        """Hold nothing."""

    def _limits(self) -> Iterator[Limit]:
        # Groups first: where a setting repeats a group's limit, it is shared all the same.
        yield from self._cgroup_limits()
        if self._setting_bytes is not None:
            yield Limit(self._setting_bytes, "setting limit_bytes")
        address_space = _address_space_limit()
        if address_space is not None:
            yield Limit(address_space, "RLIMIT_AS", is_of_virtual_size=True)

    def _cgroup_limits(self) -> Iterator[Limit]:
        self._unreadable = []
        for file in self._limit_files():
            try:
                limit = parse_limit(read_small_file(file).decode())
            except FileNotFoundError:
                # A root group has no limit, nor has a group that is gone or without the controller.
                continue
            except (OSError, ValueError) as error:
                self._unreadable.append(f"{file}: {error}")
                continue
            if limit is not None:
                yield Limit(limit, file)
        self.unreadable = tuple(self._unreadable)

    def _limit_files(self) -> tuple[str, ...]:
        try:
            membership = read_small_file(f"{self._proc}/cgroup")
            if membership != self._membership:
                mountinfo = Path(self._proc, "mountinfo").read_bytes()
                # Names are bytes; decoded like this they open the same file again.
                self._files = tuple(
                    _applicable_files(os.fsdecode(mountinfo), os.fsdecode(membership))
                )
                self._membership = membership
        except FileNotFoundError:
            return ()
        except OSError as error:
            self._unreadable.append(f"{error.filename}: {error.strerror}")
            return ()
        return self._files


def _applicable_files(mountinfo: str, membership: str) -> Iterator[str]:
    for mounts, path in zip(parse_mounts(mountinfo), parse_membership(membership), strict=True):
        if path is not None and (mount := nearest_mount(mounts, path)) is not None:
            yield from limit_files(mount, path)


def _shared_usage(limit: Limit) -> int | None:
    group, _, file_name = limit.origin.rpartition("/")
    if file_name not in _USAGE:
        return None
    usage_file, cache_line = _USAGE[file_name]
    try:
        usage = read_small_file(f"{group}/{usage_file}")
        return working_set(usage, read_small_file(f"{group}/memory.stat"), cache_line)
    except (OSError, ValueError):
        return None


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _address_space_limit() -> int | None:
    try:
        import resource  # noqa: PLC0415 - does not exist on Windows

        # OpenBSD has the module and not this limit.
        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, AttributeError, OSError, ValueError):
        return None
    return None if soft == resource.RLIM_INFINITY or soft >= _UNLIMITED_BYTES else soft
